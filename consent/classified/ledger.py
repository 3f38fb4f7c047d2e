"""What outlives its subject."""

from consent.classified.classes import INTERNAL, OPERATIONAL, PUBLIC
from consent.ledger.models import AuditEntry, Disclosure, Leaf
from consent.rights.classification import Fields

FIELDS: Fields = {
    Leaf: {
        "id": OPERATIONAL,
        "program": OPERATIONAL,
        "type": OPERATIONAL,
        "hash": PUBLIC,
        "subject_version": OPERATIONAL,
    },
    AuditEntry: {
        "id": OPERATIONAL,
        "program": OPERATIONAL,
        "actor": INTERNAL,
        "action": INTERNAL,
        "target": INTERNAL,
        "at": INTERNAL,
        "details": INTERNAL,
    },
    Disclosure: {
        "id": OPERATIONAL,
        "program": OPERATIONAL,
        "at": INTERNAL,
        "recipient": INTERNAL,
        "name": INTERNAL,
        "ground": INTERNAL,
        "purpose": PUBLIC,
        "fields": INTERNAL,
        "subjects": INTERNAL,
        "target": INTERNAL,
        "actor": INTERNAL,
    },
}
