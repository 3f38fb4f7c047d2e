"""The classes that many fields share."""

from consent.rights.classification import Classified, Kind

PUBLIC = Classified(Kind.PUBLIC, 1)
OPERATIONAL = Classified(Kind.OPERATIONAL, 1)
INTERNAL = Classified(Kind.OPERATIONAL, 2)
ACCESS = Classified(Kind.KEY, 4)
PSEUDONYM = Classified(Kind.PSEUDONYM, 3)
EVIDENCE = Classified(Kind.CONSENT_EVIDENCE, 3)
STATE = Classified(Kind.CONSENT_EVIDENCE, 2)
REQUEST = Classified(Kind.REQUEST, 2)
SEALED_REQUEST = Classified(Kind.REQUEST, 4, key="key_encryption")
