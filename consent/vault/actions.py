"""Telling more of who a known subject is, and taking it back."""

import uuid
from collections.abc import Collection
from datetime import UTC

from consent.errors import Conflict, NotFound
from consent.ledger.audit import audit
from consent.programs.idempotency import IdempotencyKey, claim
from consent.programs.tenancy import tenant
from consent.records.profile import require_consent
from consent.records.queries import db_now
from consent.vault import identities
from consent.vault.identities import SubjectTaken, Vault
from consent.vault.lookup import Identifiers
from consent.vault.models import Subject

ATTEMPTS = 5

Held = tuple[uuid.UUID, list[str]]
"""A subject's pseudonym and the kinds of identifiers it has now, in order; never their values."""


def change_identifiers(
    *,
    vault: Vault,
    program_id: int,
    identifiers: Identifiers,
    added: Identifiers,
    removed: Collection[str],
    by: str,
    idempotency: IdempotencyKey | None = None,
) -> Held:
    """Remove the kinds that the subject has of `removed`, and add those it lacks of `added`: what is so changes nothing.

    All or nothing. Added is information about the subject, as that identifiers are one person's: while no purpose may be
    processed nothing is, and Invalid has the code of why. To remove needs no consent. Raises NotFound `unknown_subject`; Conflict `identity_conflict` where a value is another subject's or
    the subject has another of the kind, `last_identifier`, `erasure_pending`, `restricted`.
    """
    named, more = identities.checked(identifiers), identities.checked_values(added, pointer="/add")
    for _ in range(ATTEMPTS):
        try:
            with tenant(program_id):
                again = idempotency is not None and not claim(idempotency)
                subject = _locked(vault, program_id, named)
                if subject is None and again:
                    raise Conflict("subject_gone", "since this Idempotency-Key was used nobody is found by this name")
                if subject is None:
                    raise NotFound("unknown_subject", "nobody asked a subject of this name for consent yet")
                identities.refuse_closed(subject)
                if removed and not again:
                    _audit(program_id, "removed", identities.detach(vault, subject, named, removed), by=by)
                if more and not again:
                    require_consent(subject)
                    _audit(program_id, "added", identities.attach(vault, subject, named, more=more), by=by)
                return subject.pseudonym, identities.kinds(subject)
        except SubjectTaken:
            continue
    raise Conflict("subject_changing", "other calls are changing this subject; send this again", retry_after=1)


def _locked(vault: Vault, program_id: int, named: dict[str, str]) -> Subject | None:
    """The subject with its row locked; None for one nobody knows, or knows any more."""
    subject_id = identities.resolve_many(vault, program_id, [named])[0]
    if subject_id is None:
        return None
    return Subject.objects.select_for_update(no_key=True).filter(id=subject_id).first()


def _audit(program_id: int, what: str, changed: list[str], *, by: str) -> None:
    """To the day: the entry outlives the subject, whom its time would point to. None where nothing changed."""
    if changed:
        audit(
            program_id=program_id,
            actor=by,
            action=f"identifiers.{what}",
            target=f"program:{program_id}",
            details={"kinds": sorted(changed)},
            at=db_now().astimezone(UTC).replace(hour=0, minute=0, second=0, microsecond=0),
        )
