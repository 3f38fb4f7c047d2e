"""What may be rectified (PIPL 46): checked when it is asked for, done by the holders that keep it.

Who checked it, and what was there before and after, stay with the request: sealed, and told to the person in a package.
"""

import uuid
from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import Any

from django.db import transaction

from consent.errors import Conflict, Fault, Invalid, invalid
from consent.ledger.models import AuditEntry
from consent.notices.models import NoticePurpose
from consent.records import profile
from consent.records.models import ProfileAttribute, PurposeErasure
from consent.records.queries import db_now
from consent.rights import content
from consent.rights.holders import Changes, PersonalDataHolder
from consent.rights.models import RequestSubject, SubjectRequest
from consent.vault import identities
from consent.vault.envelope import seal
from consent.vault.identities import SubjectTaken, Vault
from consent.vault.lookup import PSEUDONYM
from consent.vault.models import Subject


def checked(changes: Changes | None, program_id: int) -> Changes:
    """The changes with identifiers normalised. Whoever they are about: what no notice declares cannot be rectified.

    Raises Invalid `changes_missing`, `attribute_too_long`, `undeclared_attribute`, `invalid_identifier`.
    """
    if changes is None or not (changes.attributes or changes.identifiers):
        raise invalid("changes_missing", "say what to change: attributes, identifiers or both", "/changes")
    if PSEUDONYM in changes.identifiers:
        raise invalid("invalid_identifier", "Zhiqing alone gives out subject_id", "/changes/identifiers/subject_id")
    if any(len(value or "") > profile.LONGEST for value in changes.attributes.values()):
        raise invalid(
            "attribute_too_long", f"an attribute has {profile.LONGEST} characters at most", "/changes/attributes"
        )
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


def vouched(by: str, how: str, at: datetime) -> dict[str, Any]:
    """The check of a rectification that no officer reviews: whoever filed it vouches for it."""
    return {"by": by, "how": how, "at": at.isoformat()}


def carry_out(
    vault: Vault, subject: Subject, request_id: uuid.UUID, holder: PersonalDataHolder, *, now: datetime
) -> int:
    """A holder's part, and what it came to; answers how many values. The caller holds the subject's row.

    Done again it keeps what was there before the first time.
    """
    about = RequestSubject.objects.get(subject=subject, request_id=request_id)
    data_key = vault.data_key(subject.program_id, subject.id)
    changes = content.changes_of(about, data_key)
    before = holder.rectifiable(vault=vault, subject=subject, changes=changes)
    affected = holder.rectify(vault=vault, subject=subject, changes=changes, now=now)
    after = holder.rectifiable(vault=vault, subject=subject, changes=changes)
    kept = content.opened(about, data_key)
    rows = {(row["of"], row["name"]): row for row in kept.get("rectified", [])}
    for row in _compared(before, after):
        place = (row["of"], row["name"])
        rows[place] = row | {"before": rows.get(place, row)["before"]}
    if rows:
        content.add(about, data_key, rectified=list(rows.values()), check=_check(kept, subject.program_id, request_id))
    return affected


def _compared(before: Changes, after: Changes) -> Iterator[dict[str, Any]]:
    for of in ("attributes", "identifiers"):
        was, became = getattr(before, of), getattr(after, of)
        for name in sorted(was.keys() | became.keys()):
            yield {"of": of, "name": name, "before": was.get(name), "after": became.get(name)}


def _check(kept: Mapping[str, Any], program_id: int, request_id: uuid.UUID) -> dict[str, Any] | None:
    """That of the officer who approved it, once one has."""
    if not SubjectRequest.objects.filter(id=request_id, reviewed=True).exists():
        return kept.get("check")
    entries = AuditEntry.objects.filter(
        program_id=program_id, target=f"request:{request_id}", action="request.approved"
    )
    approved = entries.order_by("-id").first()
    if approved is None:
        return kept.get("check")
    return {"by": approved.actor, "how": "review", "at": approved.at.isoformat()}


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
    # What a withdrawal owes to erase is what was set before it: corrected, it keeps its time, and goes all the same.
    owed = PurposeErasure.objects.filter(subject=subject, done_at__isnull=True, kept_days__isnull=True)
    for name in sorted(held):
        value, row = changed[name], rows.filter(name=name)
        if value is None:
            row.delete()
        else:
            row.update(sealed=seal(data_key, value.encode(), profile.cell(subject, name)))
            row.exclude(purpose_id__in=owed.values("purpose_id")).update(updated_at=now)
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
