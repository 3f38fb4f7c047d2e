"""Writing consent: one act of a subject, one or more decisions, all or nothing."""

import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta

from consent.errors import Conflict, invalid
from consent.journal import writing as journal
from consent.journal.entries import Kind
from consent.notices.models import Purpose
from consent.programs.idempotency import IdempotencyKey, claim, used
from consent.programs.tenancy import tenant
from consent.records import erasures, minors, projection, receipts
from consent.records.coming_of_age import end_at_14, end_childhood, end_guardianship
from consent.records.decisions import Act, Decision, Told, purposes_ended, told_of
from consent.records.entries import Moment, insert, leaves_of, new_record, number
from consent.records.grants import CLOCK_TOLERANCE, of_state
from consent.records.intents import announce, retract
from consent.records.models import AUTHORISING, ConsentRecord, ConsentState, State, WithdrawalIntent
from consent.records.queries import coverage, db_now, pending_records
from consent.vault import identities, writing
from consent.vault.identities import SubjectTaken, Vault
from consent.vault.lookup import Identifiers
from consent.vault.models import Subject
from consent.webhooks import actions as webhooks

COLLECTED = (*AUTHORISING, State.EXPIRED, State.INVALIDATED)
"""States under which there may be something that was collected: what ended by itself took nothing along."""
OBJECTION = "objection"
"""The method of records by which an objection ended consents."""
FRESH = timedelta(hours=24)
CREATION_ATTEMPTS = 5


@dataclass(frozen=True)
class Recorded:
    """A record made (None where a withdrawal found nobody), the state it came to, and its receipt (None: no signing key)."""

    record_id: uuid.UUID | None
    purpose: str
    state: str
    receipt: str | None


def record_decisions(
    *,
    vault: Vault,
    program_id: int,
    identifiers: Identifiers,
    notice: str | None,
    decisions: Sequence[Decision],
    act: Act,
    client_id: int | None,
    may_import: bool,
    idempotency: IdempotencyKey | None = None,
) -> tuple[uuid.UUID | None, list[Recorded]]:
    """Record an act; answers the subject's pseudonym and the records, in the decisions' order.

    Withdrawing what nobody gave, for somebody nobody knows, makes nothing: the pseudonym and the record ids are None.
    Raises Invalid (unknown purpose or notice, separate consent, dates), Conflict (identity, an open erasure).
    """
    named = identities.checked(identifiers)
    leaving = _announce(vault, program_id, named, notice, decisions, act, idempotency)
    try:
        for _ in range(CREATION_ATTEMPTS):
            try:
                with tenant(program_id):
                    if idempotency is not None and not claim(idempotency):
                        if leaving is not None:
                            # Announced before the same act, sent twice, was seen to be done.
                            retract(program_id, leaving, purposes=purposes_ended(decisions))
                        return _recorded_before(vault, program_id, named, decisions, idempotency)
                    told = told_of(program_id, notice, decisions, act)
                    subject = _held(vault, program_id, named, create=any(d.decision != "withdrawn" for d in decisions))
                    if subject is None:
                        # By an older keyring somebody may be known whom this process does not find.
                        writing.hold(vault.keyring)
                        return None, [Recorded(None, item.purpose.code, State.UNKNOWN, None) for item in told]
                    moment = _moment(subject, told, act, may_import)
                    recorded = _record(vault, subject, told, act, moment, client_id, idempotency)
                    return subject.pseudonym, recorded
            except SubjectTaken:
                continue
        raise Conflict(
            "subject_changing", "the subject is being created by another call; send this again", retry_after=1
        )
    except Exception:
        if leaving is not None:
            retract(program_id, leaving, purposes=purposes_ended(decisions))
        raise


def _announce(
    vault: Vault,
    program_id: int,
    named: dict[str, str],
    notice: str | None,
    decisions: Sequence[Decision],
    act: Act,
    idempotency: IdempotencyKey | None,
) -> int | None:
    """Commit the intent to end grants before waiting for their locks, so that ingest cannot starve it.

    Not for what will be refused or was done before, since ingest answers `retry` while an intent stands. Answers whose.
    """
    ending = purposes_ended(decisions)
    if not ending:
        return None
    with tenant(program_id):
        if idempotency is not None and used(idempotency):
            return None
        told_of(program_id, notice, decisions, act)
        subject_id = identities.resolve_many(vault, program_id, [named])[0]
        if subject_id is not None:
            announce(subject_id, purposes=ending)
        return subject_id


def _held(vault: Vault, program_id: int, named: dict[str, str], *, create: bool) -> Subject | None:
    """The subject with its row locked; nobody known is created or None. Raises SubjectTaken, Conflict."""
    subject_id = identities.resolve_many(vault, program_id, [named])[0]
    if subject_id is None:
        return identities.create(vault, program_id, named) if create else None
    subject = Subject.objects.select_for_update(no_key=True).filter(id=subject_id).first()
    if subject is None:
        raise SubjectTaken
    if not subject.erasure_pending:
        identities.attach(vault, subject, named)
    return subject


def _moment(subject: Subject, told: list[Told], act: Act, may_import: bool) -> Moment:
    """Takes the states' locks first, so that `received_at` is later than every batch that came before this act.

    Refusing and withdrawing count from their receipt, so whatever time they claim is kept and none is refused.
    """
    locked = ConsentState.objects.select_for_update().filter(subject=subject).order_by("purpose_id")
    before = {state.purpose_id: state for state in locked}
    now = db_now()
    occurred = act.occurred_at or now
    corrected = now - (act.sent_at - occurred) if act.sent_at is not None else occurred
    if all(item.decided in (State.REFUSED, State.WITHDRAWN) for item in told):
        return Moment(before, occurred, min(corrected, now), now)
    if corrected > now + CLOCK_TOLERANCE:
        raise invalid("in_the_future", "the act lies in the future; send sent_at, the sender's clock", "/occurred_at")
    if corrected < now - FRESH:
        if not may_import:
            raise invalid("too_old", "an act of more than 24 hours ago needs a key with scope import", "/occurred_at")
        if subject.version:
            raise invalid("too_old", "past consents are imported for subjects without records only", "/occurred_at")
    return Moment(before, occurred, min(corrected, now), now)


def _record(
    vault: Vault,
    subject: Subject,
    told: list[Told],
    act: Act,
    moment: Moment,
    client_id: int | None,
    idempotency: IdempotencyKey | None,
) -> list[Recorded]:
    if subject.erasure_pending and any(item.decided == State.GIVEN for item in told):
        raise Conflict("erasure_pending", "the subject asked to be erased; take the request back first")
    before = moment.before
    ending = [
        item.purpose.code
        for item in told
        if item.decided in (State.REFUSED, State.WITHDRAWN)
        and item.purpose.id in before
        and before[item.purpose.id].state in COLLECTED
    ]
    if ending:
        journal.ended(subject, Kind.OBJECTION if act.method == OBJECTION else Kind.WITHDRAWAL, ending)
    _advance(subject, act, moment)
    unguarded = _age_checked(subject, told, act, moment) and act.guardian is None
    waiting = pending_records(map(of_state, before.values()))
    known = projection.Standing(moment.received_at, coverage(subject.program_id), waiting)
    collected = {purpose_id for purpose_id, held in before.items() if held.state in COLLECTED}
    allowed = _allowed(subject, told, moment, unguarded, known)
    records = [
        new_record(vault, subject, item, act, moment, None if unguarded else allows)
        for item, allows in zip(told, allowed, strict=True)
    ]
    number(records)
    after = []
    for record, allows in zip(records, allowed, strict=True):
        record.client_id, record.idempotency = client_id, idempotency.key_hash if idempotency else None
        after.append(projection.project(subject, before.get(record.purpose_id), record, allows, unguarded, known))
        record.answered = after[-1].state
    leaves = insert(subject, records)
    webhooks.tell_consents(subject, records)
    erasures.owe([record for record in records if record.purpose_id in collected])
    projection.write(after)
    if before:
        WithdrawalIntent.objects.filter(subject=subject, purpose_id__in=[item.purpose.id for item in told]).delete()
    signed = receipts.issued(vault, records, leaves)
    return [
        Recorded(record.record_id, item.purpose.code, state.state, signed[record.record_id])
        for item, record, state in zip(told, records, after, strict=True)
    ]


def _allowed(
    subject: Subject, told: list[Told], moment: Moment, unguarded: bool, known: projection.Standing
) -> list[projection.Allowed | None]:
    if unguarded and not subject.under_14:
        # A child's consent of then waits for a guardian until 14, and that is over.
        return [None for _ in told]
    return [
        projection.authorises(
            subject, moment.before.get(item.purpose.id), item.version, item.decided, moment.corrected_at, known
        )
        for item in told
    ]


def _age_checked(subject: Subject, told: list[Told], act: Act, moment: Moment) -> bool:
    """Whether the subject was under 14 at the act's time. Raises Invalid where the age allows no such consent.

    Refusing and withdrawing are never refused for it: the birthday counts.
    """
    if any(item.decided not in (State.REFUSED, State.WITHDRAWN) for item in told):
        minors.check_age(subject, act.age_band, moment.corrected_at)
        minors.check_guardian(act.guardian, latest=(act.sent_at or moment.received_at) + CLOCK_TOLERANCE)
    under_14 = minors.is_under_14(subject, act.age_band, moment.corrected_at)
    alone = act.kind == "single" and len(told) == 1
    for place, item in enumerate(told):
        if item.decided == State.GIVEN and item.version is not None:
            minors.check_given(
                subject, item.version.notice, under_14=under_14, at=moment.corrected_at, place=place, alone=alone
            )
    return under_14


def _advance(subject: Subject, act: Act, moment: Moment) -> None:
    """Count the act, and keep what it tells of the subject's age.

    A subject now known to be under 14 had no guardian before: all grants so far wait for one, and what they collected has to
    go. Turning 14 ends them; each purpose is asked for anew.
    """
    told_anew = act.turns_14_on not in (None, subject.turns_14_on)
    subject.turns_14_on = act.turns_14_on or subject.turns_14_on
    given, now = [state for state in moment.before.values() if state.state in AUTHORISING], moment.received_at
    if act.turns_14_on is not None:
        end_at_14(subject, given)
    under_14 = minors.is_under_14(subject, act.age_band, now)
    if under_14 and not subject.under_14:
        ConsentState.objects.filter(subject=subject).update(guardian_pending=True)
        for state in moment.before.values():
            state.guardian_pending = True
        unguarded = [erasures.Unguarded(state.purpose_id, subject.version + 1) for state in given]
        erasures.owe_unguarded(subject, unguarded, told=now, now=now)
    elif subject.under_14 and not under_14:
        end_guardianship(subject, moment.before, now)
    elif told_anew and not under_14:
        end_childhood(subject, given, now)
    subject.version += 1
    subject.under_14 = under_14
    subject.save(update_fields=["version", "turns_14_on", "under_14"])


def end_consents(
    vault: Vault, subject: Subject, purposes: Sequence[Purpose], *, method: str, locale: str, client_id: int | None
) -> list[ConsentRecord]:
    """Withdraw purposes as an act of the subject, whose row the caller's transaction holds; the records, in order."""
    told = [Told(purpose, State.WITHDRAWN, None) for purpose in purposes]
    act = Act(method=method, locale=locale)
    recorded = _record(vault, subject, told, act, _moment(subject, told, act, may_import=False), client_id, None)
    return list(ConsentRecord.objects.filter(subject=subject, record_id__in=[one.record_id for one in recorded]))


def _recorded_before(
    vault: Vault,
    program_id: int,
    named: dict[str, str],
    decisions: Sequence[Decision],
    idempotency: IdempotencyKey,
) -> tuple[uuid.UUID | None, list[Recorded]]:
    """The first answer again, from the rows it made; a withdrawal that found nobody made none."""
    subject_id = identities.resolve_many(vault, program_id, [named])[0]
    records = ConsentRecord.objects.none()
    if subject_id is not None:
        records = ConsentRecord.objects.filter(subject_id=subject_id, idempotency__in=idempotency.hashes)
    rows = list(records.order_by("-version", "id").select_related("purpose", "subject"))
    if not rows and all(decision.decision == "withdrawn" for decision in decisions):
        return None, [Recorded(None, decision.purpose, State.UNKNOWN, None) for decision in decisions]
    if not rows:
        raise Conflict("subject_erased", "what this Idempotency-Key recorded has been erased since")
    # A key used again after its 24 hours is on older records too.
    rows = [row for row in rows if row.version == rows[0].version]
    signed = receipts.issued(vault, rows, leaves_of(rows))
    return rows[0].subject.pseudonym, [
        Recorded(row.record_id, row.purpose.code, row.answered or row.state, signed[row.record_id]) for row in rows
    ]
