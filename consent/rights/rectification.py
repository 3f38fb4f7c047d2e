"""What may be rectified (PIPL 46): checked when it is asked for, done by the holders that keep it."""

from collections.abc import Mapping

from django.db import transaction

from consent.errors import Conflict, Fault, Invalid, invalid
from consent.notices.models import NoticePurpose
from consent.records import profile
from consent.records.models import ProfileAttribute
from consent.records.queries import db_now
from consent.rights.holders import Changes
from consent.vault import identities
from consent.vault.envelope import seal
from consent.vault.identities import SubjectTaken, Vault
from consent.vault.lookup import PSEUDONYM
from consent.vault.models import Subject


def checked(changes: Changes | None, program_id: int) -> Changes:
    """The changes with identifiers normalised. Whoever they are about: what no notice declares cannot be rectified.

    Raises Invalid `changes_missing`, `undeclared_attribute`, `invalid_identifier`.
    """
    if changes is None or not (changes.attributes or changes.identifiers):
        raise invalid("changes_missing", "say what to change: attributes, identifiers or both", "/changes")
    if PSEUDONYM in changes.identifiers:
        raise invalid("invalid_identifier", "Zhiqing alone gives out subject_id", "/changes/identifiers/subject_id")
    told = NoticePurpose.objects.filter(program_id=program_id, attributes__overlap=list(changes.attributes))
    declared = {name for names in told.values_list("attributes", flat=True) for name in names}
    faults = [
        Fault("undeclared_attribute", "no notice declares this attribute", "/changes/attributes")
        for name in changes.attributes
        if name not in declared
    ]
    if faults:
        raise Invalid(faults[0].code, faults[0].detail, faults)
    values = identities.checked_values(changes.identifiers, pointer="/changes/identifiers")
    return Changes(changes.attributes, values)


def rehearse(vault: Vault, subject: Subject, changes: Changes) -> None:
    """Do it and take it back, so that what can be known when a request is filed is said then.

    The caller holds the subject's row. Raises what `attributes` and `identifiers` raise.
    """
    with transaction.atomic():
        attributes(vault, subject, changes.attributes)
        identifiers(vault, subject, changes.identifiers)
        transaction.set_rollback(True)


def attributes(vault: Vault, subject: Subject, changed: Mapping[str, str | None]) -> int:
    """Correct what is held, whatever became of the consent to it; add the rest under a consent in force.

    Answers how many. Raises Invalid with the code of why an attribute that is not held may not be collected now.
    """
    rows = ProfileAttribute.objects.filter(subject=subject, name__in=list(changed))
    held = set(rows.values_list("name", flat=True))
    new = {name: value for name, value in changed.items() if name not in held and value is not None}
    if new:
        _add(vault, subject, new)
    data_key, now = vault.data_key(subject.program_id, subject.id), db_now()
    for name in sorted(held):
        value, row = changed[name], rows.filter(name=name)
        if value is None:
            row.delete()
        else:
            row.update(sealed=seal(data_key, value.encode(), profile.cell(subject, name)), updated_at=now)
    return len(held) + len(new)


def _add(vault: Vault, subject: Subject, new: Mapping[str, str]) -> None:
    try:
        profile.write(vault, subject, new)
    except Invalid as error:
        faults = [Fault(fault.code, fault.detail, f"/changes{fault.pointer}") for fault in error.errors]
        raise Invalid(error.code, error.detail, faults) from None


def identifiers(vault: Vault, subject: Subject, changed: Mapping[str, str]) -> int:
    """Answers how many. Raises Conflict `identity_conflict` where a new value belongs to another subject."""
    if not changed:
        return 0
    try:
        return identities.replace(vault, subject, changed)
    except SubjectTaken:
        raise Conflict("identity_conflict", "one of these identifiers belongs to another subject") from None
