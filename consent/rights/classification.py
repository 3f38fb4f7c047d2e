"""What every field of every model says of a person, and how much harm its exposure would do (DSL 21).

Apps declare theirs in personal_data.py beside their holders; a test fails on a field that is missing or too many.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum

from django.db.models import Model
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from consent.vault.keyring import FAMILIES


class Kind(Enum):
    """What a field is to a person."""

    IDENTIFIER = "identifier"
    PSEUDONYM = "pseudonym"
    PROFILE = "profile"
    BEHAVIOUR = "behaviour"
    CONSENT_EVIDENCE = "consent_evidence"
    REQUEST = "request"
    KEY = "key"
    OPERATIONAL = "operational"
    PUBLIC = "public"


KINDS = {
    Kind.IDENTIFIER: _("identifier"),
    Kind.PSEUDONYM: _("pseudonym"),
    Kind.PROFILE: _("profile"),
    Kind.BEHAVIOUR: _("behaviour"),
    Kind.CONSENT_EVIDENCE: _("evidence of consent"),
    Kind.REQUEST: _("request"),
    Kind.KEY: _("keys and secrets"),
    Kind.OPERATIONAL: _("operational"),
    Kind.PUBLIC: _("public"),
}
HARM = {
    1: _("no harm"),
    2: _("some harm to the controller"),
    3: _("harm to a person"),
    4: _("serious harm to a person or to all"),
}


def kind_in_words(code: str) -> str:
    return str(KINDS[Kind(code)])


def grade_in_words(grade: int) -> str:
    """The number, and what harm it stands for."""
    return gettext("%(grade)d (%(harm)s)") % {"grade": grade, "harm": HARM[grade]}


@dataclass(frozen=True)
class Classified:
    """`grade`: one of HARM.

    `key`: the family of the keyring without which it says nothing: `key_encryption` (sealed with the subject's data key, or
    that key itself), `index` (a keyed hash).
    """

    kind: Kind
    grade: int
    key: str | None = None

    def __post_init__(self) -> None:
        if self.grade not in HARM:
            raise ValueError("grades are 1 to 4")
        if self.key not in (None, *FAMILIES):
            raise ValueError(f"fields are guarded by a key of {' or '.join(FAMILIES)}")


Fields = Mapping[type[Model], Mapping[str, Classified]]
_classified: dict[str, dict[str, Classified]] = {}


def classify(fields: Fields) -> None:
    """Declare an app's models. Raises ValueError for a model declared twice."""
    for model, declared in fields.items():
        if model._meta.label in _classified:
            raise ValueError(f"{model._meta.label} is classified already")
        _classified[model._meta.label] = dict(declared)


def classified(model: type[Model]) -> Mapping[str, Classified]:
    """Field -> classification; empty for a model nobody declared."""
    return _classified.get(model._meta.label, {})


def classified_models() -> list[str]:
    """The labels of all that are declared."""
    return sorted(_classified)


def columns(model: type[Model]) -> list[str]:
    """The fields that are columns; a composite primary key is not one itself."""
    return [field.name for field in model._meta.local_fields if field.column]


def faults(model: type[Model]) -> list[str]:
    """What to add to or to take from the app's personal_data.py, as lines to paste."""
    held, declared = columns(model), classified(model)
    missing = [f'add to {model.__name__}: "{name}": Classified(Kind.…, …),' for name in held if name not in declared]
    surplus = [f'take from {model.__name__}: "{name}" is no field any more' for name in declared if name not in held]
    return missing + surplus
