"""Profile attributes: declared in a notice under a purpose, sealed, kept while that purpose is consented to."""

import uuid
from collections.abc import Mapping
from datetime import datetime
from typing import NamedTuple

from consent.errors import Conflict, Fault, Invalid, invalid
from consent.notices.models import NoticePurpose, Purpose
from consent.programs.tenancy import tenant
from consent.records.grants import Covered, Grant
from consent.records.models import ConsentState, ProfileAttribute
from consent.records.queries import coverage, db_now, standing
from consent.vault import identities
from consent.vault.envelope import Cell, open_cell, seal
from consent.vault.identities import SubjectTaken, Vault
from consent.vault.lookup import Identifiers
from consent.vault.models import Subject

LONGEST = 1_000
"""Characters that the value of an attribute has at most."""


class HeldGrants(NamedTuple):
    """A subject's grants by purpose id, what the notices cover, and a time at which both were so: under a lock."""

    grants: Mapping[int, Grant]
    covered: Covered
    now: datetime


def put_attributes(
    *, vault: Vault, program_id: int, identifiers: Identifiers, attributes: Mapping[str, str | None]
) -> tuple[uuid.UUID, list[str]]:
    """Set (or, with None, remove) attributes, all or nothing; answers the pseudonym and the names kept.

    Raises Invalid: `undeclared_attribute`, or the code of why the purpose may not be processed (`consent_missing`, …), which for
    removing are `restricted` and `erasure_pending` alone.
    """
    with tenant(program_id):
        subject = _known(vault, program_id, identifiers)
        write(vault, subject, attributes)
        kept = ProfileAttribute.objects.filter(subject=subject).order_by("name").values_list("name", flat=True)
        return subject.pseudonym, list(kept)


def identify(*, vault: Vault, program_id: int, identifiers: Identifiers, attributes: Mapping[str, str | None]) -> None:
    """The subject whom one of the identifiers names is found by all of them from now on; its attributes are set. All or nothing.

    That two identifiers are one person's is information about them: while no purpose may be processed, nothing is added.
    Raises Invalid as `put_attributes`; Conflict `identity_conflict`, or `subject_changing` for the time being.
    """
    named = identities.checked(identifiers)
    try:
        with tenant(program_id):
            subject = _known(vault, program_id, named)
            held_grants = require_consent(subject)
            identities.attach(vault, subject, named)
            if attributes:
                _write(vault, subject, attributes, held_grants)
    except SubjectTaken:
        raise Conflict(
            "subject_changing", "another call is adding this identifier; send it again", retry_after=1
        ) from None


def _known(vault: Vault, program_id: int, identifiers: Identifiers) -> Subject:
    """The subject with its row locked. Raises Invalid `consent_missing`."""
    subject_id = identities.resolve(vault, program_id, identifiers)
    subject = None if subject_id is None else held(subject_id)
    if subject is None:
        raise Invalid("consent_missing", "nobody asked this subject for consent yet")
    return subject


def require_consent(subject: Subject) -> HeldGrants:
    """The grants, locked, of a subject whose row is held by the caller: what is told of it from here on needs a basis.

    Raises Invalid with the code of why no purpose may be processed: the newest decision's.
    """
    held_grants = _locked_grants(subject)
    grants, covered, now = held_grants
    active = set(Purpose.objects.filter(id__in=grants, active=True).values_list("id", flat=True))
    newest = sorted(grants.values(), key=lambda grant: grant.record_id, reverse=True)
    refusals = [
        grant.refusal(now, grant.told(covered)) if grant.purpose_id in active else "purpose_inactive"
        for grant in newest
    ]
    if None not in refusals:
        raise Invalid(next(filter(None, refusals), "consent_missing"), "the subject consents to no purpose now")
    return held_grants


def held(subject_id: int) -> Subject | None:
    """The subject with its row locked; None once erased."""
    return Subject.objects.select_for_update(no_key=True).filter(id=subject_id).first()


def write(vault: Vault, subject: Subject, attributes: Mapping[str, str | None]) -> int:
    """The same on a subject whose row is held by the caller; answers how many were set or removed."""
    return _write(vault, subject, attributes, _locked_grants(subject))


def _write(vault: Vault, subject: Subject, attributes: Mapping[str, str | None], held_grants: HeldGrants) -> int:
    purposes = _purposes(subject, attributes, held_grants)
    removed = [name for name, value in attributes.items() if value is None]
    if removed:
        _refuse_removal(subject)
    ProfileAttribute.objects.filter(subject=subject, name__in=removed).delete()
    data_key = vault.data_key(subject.program_id, subject.id)
    rows = [
        ProfileAttribute(
            subject=subject,
            name=name,
            program_id=subject.program_id,
            purpose_id=purposes[name],
            sealed=seal(data_key, value.encode(), cell(subject, name)),
            updated_at=held_grants.now,
        )
        for name, value in sorted(attributes.items())
        if value is not None
    ]
    ProfileAttribute.objects.bulk_create(
        rows,
        update_conflicts=True,
        unique_fields=["subject", "name"],
        update_fields=["purpose", "sealed", "updated_at"],
    )
    return len(attributes)


def _refuse_removal(subject: Subject) -> None:
    """Restricted or about to be erased, data are what a law or the person wants kept, or evidence until then."""
    try:
        identities.refuse_closed(subject)
    except Conflict as problem:
        raise invalid(problem.code, problem.detail, "/attributes") from None


def opened(vault: Vault, subject: Subject) -> dict[str, str]:
    """The attributes in plaintext, for the subject's own package. Name -> value."""
    data_key = vault.data_key(subject.program_id, subject.id)
    rows = ProfileAttribute.objects.filter(subject=subject).order_by("name")
    return {row.name: open_cell(data_key, bytes(row.sealed), cell(subject, row.name)).decode() for row in rows}


def cell(subject: Subject, name: str) -> Cell:
    return Cell(subject.program_id, "profile_attribute", "sealed", name, subject.id)


def _purposes(subject: Subject, attributes: Mapping[str, str | None], held_grants: HeldGrants) -> dict[str, int]:
    """Attribute -> the consented purpose whose notice declares it."""
    grants, covered, now = held_grants
    found: dict[str, int] = {}
    faults: dict[str, str] = dict.fromkeys(attributes, "undeclared_attribute")
    told = NoticePurpose.objects.filter(
        program_id=subject.program_id, purpose__active=True, attributes__overlap=list(attributes)
    )
    for version in told.order_by("id"):
        grant = grants.get(version.purpose_id)
        if grant is not None and grant.notice_id not in (None, version.notice_id):
            continue
        refusal = (
            "consent_missing"
            if grant is None
            else grant.refusal(now, covered.get((version.purpose_id, version.notice_id)))
        )
        for name in set(version.attributes) & set(attributes):
            if refusal is None:
                found[name] = version.purpose_id
            else:
                faults[name] = refusal
    # The name of an undeclared attribute was made up by the sender, and is not repeated.
    missing = [
        Fault(
            faults[name],
            "declare it in a notice and ask for consent to its purpose first",
            "/attributes" if faults[name] == "undeclared_attribute" else f"/attributes/{name}",
        )
        for name, value in attributes.items()
        if name not in found and value is not None
    ]
    if missing:
        raise Invalid(missing[0].code, missing[0].detail, missing)
    return found


def _locked_grants(subject: Subject) -> HeldGrants:
    """A withdrawal waits until the transaction is over."""
    states = list(ConsentState.objects.select_for_update().filter(subject=subject).order_by("purpose_id"))
    now, covered = db_now(), coverage(subject.program_id)
    return HeldGrants(standing(states, covered, now), covered, now)
