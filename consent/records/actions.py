"""Writing consent: one act of a subject, one or more decisions, all or nothing."""

import uuid
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from typing import Any

from consent.errors import Conflict, Fault, Invalid, invalid
from consent.ledger.leaves import LeafType, leaf_hash, new_salt
from consent.ledger.models import Leaf
from consent.notices.models import NoticePurpose, Purpose
from consent.programs.idempotency import IdempotencyKey, claim, used
from consent.programs.tenancy import tenant
from consent.records import erasures, minors, projection, receipts
from consent.records.grants import CLOCK_TOLERANCE, of_state, until_14
from consent.records.intents import announce, retract
from consent.records.models import AUTHORISING, ConsentRecord, ConsentState, State, WithdrawalIntent
from consent.records.queries import coverage, db_now, pending_records
from consent.vault import identities
from consent.vault.envelope import Cell
from consent.vault.identities import SubjectTaken, Vault
from consent.vault.lookup import Identifiers
from consent.vault.models import Subject

COLLECTED = (*AUTHORISING, State.EXPIRED, State.INVALIDATED)
"""States under which there may be something that was collected: what ended by itself took nothing along."""
FRESH = timedelta(hours=24)
CREATION_ATTEMPTS = 5

DECIDED = {
    "given": State.GIVEN,
    "refused": State.REFUSED,
    "deferred": State.REQUESTED,
    "withdrawn": State.WITHDRAWN,
}


@dataclass(frozen=True)
class Decision:
    """One purpose's code and given, refused, deferred or withdrawn."""

    purpose: str
    decision: str


@dataclass(frozen=True)
class Act:
    """How, when and by whom the decisions were made. Times as the sender's clock gave them; None: now."""

    method: str | None = None
    kind: str | None = None
    locale: str | None = None
    occurred_at: datetime | None = None
    sent_at: datetime | None = None
    age_band: str = "unknown"
    turns_14_on: date | None = None
    evidence: dict[str, Any] = field(default_factory=dict)
    guardian: dict[str, Any] | None = None


@dataclass(frozen=True)
class Told:
    """A decision with its purpose and what the notice says of it (None for a withdrawal without a notice)."""

    purpose: Purpose
    decided: State
    version: NoticePurpose | None


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
                            retract(program_id, leaving, purposes=_ending(decisions))
                        return _recorded_before(vault, program_id, named, decisions, idempotency)
                    told = _told(program_id, notice, decisions, act)
                    subject = _held(vault, program_id, named, create=any(d.decision != "withdrawn" for d in decisions))
                    if subject is None:
                        return None, [Recorded(None, item.purpose.code, State.UNKNOWN, None) for item in told]
                    moment = _moment(subject, told, act, may_import)
                    recorded = _record(vault, subject, told, act, moment, client_id, idempotency)
                    return subject.pseudonym, recorded
            except SubjectTaken:
                continue
    except Exception:
        if leaving is not None:
            retract(program_id, leaving, purposes=_ending(decisions))
        raise
    raise Conflict("subject_changing", "the subject is being created by another call; send this again", retry_after=1)


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
    ending = _ending(decisions)
    if not ending:
        return None
    with tenant(program_id):
        if idempotency is not None and used(idempotency):
            return None
        _told(program_id, notice, decisions, act)
        subject_id = identities.resolve_many(vault, program_id, [named])[0]
        if subject_id is not None:
            announce(subject_id, purposes=ending)
        return subject_id


def _ending(decisions: Sequence[Decision]) -> list[str]:
    return [decision.purpose for decision in decisions if decision.decision in ("refused", "withdrawn")]


def _told(program_id: int, notice: str | None, decisions: Sequence[Decision], act: Act) -> list[Told]:
    """Check the decisions against the purposes and the notice."""
    codes = [decision.purpose for decision in decisions]
    purposes = {p.code: p for p in Purpose.objects.filter(program_id=program_id, code__in=codes)}
    versions: dict[int, NoticePurpose] = {}
    if notice is not None:
        told = NoticePurpose.objects.filter(program_id=program_id, notice__sha256=notice).select_related("notice")
        versions = {version.purpose_id: version for version in told.defer("notice__body")}
        if not versions:
            raise invalid(
                "unknown_notice", "publish the notice first, or send the sha256 it was published under", "/notice"
            )
    faults = [
        fault
        for place, decision in enumerate(decisions)
        if (fault := _fault(place, decision, purposes, versions, act, codes)) is not None
    ]
    if faults:
        raise Invalid(faults[0].code, faults[0].detail, faults)
    return [Told(purposes[d.purpose], DECIDED[d.decision], versions.get(purposes[d.purpose].id)) for d in decisions]


def _fault(
    place: int,
    decision: Decision,
    purposes: dict[str, Purpose],
    versions: dict[int, NoticePurpose],
    act: Act,
    codes: list[str],
) -> Fault | None:
    purpose = purposes.get(decision.purpose)
    pointer = f"/decisions/{place}/purpose"
    if purpose is None:
        return Fault("unknown_purpose", "no notice of this mini-program names this purpose", pointer)
    if codes.index(decision.purpose) != place:
        return Fault("duplicate_purpose", "decide on each purpose once", pointer)
    if decision.decision == "withdrawn":
        return None
    if purpose.id not in versions:
        return Fault("purpose_not_in_notice", "send the notice in which the subject was told of this purpose", pointer)
    if decision.decision == "given" and not purpose.active:
        return Fault("purpose_inactive", "this purpose is not active; do not ask for it", pointer)
    bundled = act.kind != "single" or len(codes) > 1
    if decision.decision == "given" and purpose.separate_consent and bundled:
        return Fault(
            "separate_consent_required", "this purpose needs an act of its own: act single, one decision", pointer
        )
    return None


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


@dataclass(frozen=True)
class Moment:
    """The act's times: as claimed, corrected for the sender's clock, and the database's clock under the lock.

    `before`: the subject's states by purpose, whose locks are held.
    """

    before: dict[int, ConsentState]
    occurred_at: datetime
    corrected_at: datetime
    received_at: datetime


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
    _advance(subject, act, moment)
    for place, item in enumerate(told):
        if subject.under_14 and item.decided == State.GIVEN and item.version is not None:
            minors.check_given(item.version.notice, place=place, alone=act.kind == "single" and len(told) == 1)
    waiting = pending_records(map(of_state, before.values()))
    known = projection.Standing(moment.received_at, coverage(subject.program_id), waiting)
    records = []
    for item in told:
        held = before.get(item.purpose.id)
        allows = projection.authorises(subject, held, item.version, item.decided, moment.corrected_at, known)
        record = _new_record(vault, subject, item, act, moment, allows)
        record.client_id, record.idempotency = client_id, idempotency.key_hash if idempotency else None
        records.append(record)
    _insert(subject, records)
    erasures.owe([record for record in records if (held := before.get(record.purpose_id)) and held.state in COLLECTED])
    guardian = act.guardian is not None
    after = [projection.project(subject, before.get(record.purpose_id), record, guardian, known) for record in records]
    projection.write(after)
    if before:
        WithdrawalIntent.objects.filter(subject=subject, purpose_id__in=[item.purpose.id for item in told]).delete()
    signed = receipts.issued(vault, records)
    return [
        Recorded(record.record_id, item.purpose.code, state.state, signed[record.record_id])
        for item, record, state in zip(told, records, after, strict=True)
    ]


def _advance(subject: Subject, act: Act, moment: Moment) -> None:
    """Count the act, and keep what it tells of the subject's age.

    A subject now known to be under 14 had no guardian before: all grants so far wait for one. Turning 14 ends them;
    each purpose is asked for anew.
    """
    subject.turns_14_on = act.turns_14_on or subject.turns_14_on
    under_14 = minors.is_under_14(subject, act.age_band, moment.received_at)
    if under_14 and not subject.under_14:
        ConsentState.objects.filter(subject=subject).update(guardian_pending=True)
        for state in moment.before.values():
            state.guardian_pending = True
    if subject.under_14 and not under_14:
        end_guardianship(subject, moment.before, moment.received_at)
    subject.version += 1
    subject.under_14 = under_14
    subject.save(update_fields=["version", "turns_14_on", "under_14"])
    if act.turns_14_on is not None:
        _end_at_14(subject, [state for state in moment.before.values() if state.state in AUTHORISING])


def end_guardianship(subject: Subject, held: dict[int, ConsentState], now: datetime) -> int:
    """End every grant of a subject who has turned 14, and answer how many. The locks on subject and states are held; the
    caller saves the subject.

    The gate let nothing through since the birthday that was known: this writes down that it is so.
    """
    subject.version, subject.under_14 = subject.version + 1, False
    records = minors.ended_at_14(subject, list(held.values()), now)
    _insert(subject, records)
    for record in records:
        projection.lapse(held[record.purpose_id], record)
    projection.write(held.values())
    return len(records)


def _end_at_14(subject: Subject, given: list[ConsentState]) -> None:
    """A birthday that is told later ends what was given before it, too."""
    records = ConsentRecord.objects.filter(subject=subject, id__in=[state.record_id for state in given])
    times = dict(records.values_list("id", "corrected_at"))
    for state in given:
        state.grant_until = until_14(state.grant_until, times[state.record_id], subject.turns_14_on)
        state.save(update_fields=["grant_until"])


def end_consents(
    vault: Vault, subject: Subject, purposes: Sequence[Purpose], *, method: str, locale: str, client_id: int | None
) -> list[ConsentRecord]:
    """Withdraw purposes as an act of the subject, whose row the caller's transaction holds; the records, in order."""
    told = [Told(purpose, State.WITHDRAWN, None) for purpose in purposes]
    act = Act(method=method, locale=locale)
    recorded = _record(vault, subject, told, act, _moment(subject, told, act, may_import=False), client_id, None)
    return list(ConsentRecord.objects.filter(subject=subject, record_id__in=[one.record_id for one in recorded]))


def _new_record(
    vault: Vault, subject: Subject, item: Told, act: Act, moment: Moment, allows: projection.Allowed | None
) -> ConsentRecord:
    record = ConsentRecord(
        subject=subject,
        program_id=subject.program_id,
        record_id=uuid.uuid4(),
        purpose=item.purpose,
        notice=item.version.notice if item.version else None,
        version=subject.version,
        state=item.decided,
        act=act.kind,
        method=act.method,
        locale=act.locale,
        age_band=act.age_band,
        turns_14_on=act.turns_14_on,
        occurred_at=moment.occurred_at,
        corrected_at=moment.corrected_at,
        received_at=moment.received_at,
        authorises_from=allows.since if allows else None,
        authorises_until=allows.until if allows else None,
        salt=new_salt(),
    )
    evidence = {"evidence": act.evidence, "guardian": act.guardian}
    if act.evidence or act.guardian:
        data_key = vault.data_key(subject.program_id, subject.id)
        record.evidence = identities.seal_json(data_key, evidence, evidence_cell(record))
    return record


def evidence_cell(record: ConsentRecord) -> Cell:
    return Cell(record.program_id, "consent_record", "evidence", str(record.record_id), record.subject_id)


def canonical(record: ConsentRecord) -> dict[str, Any]:
    """What a leaf commits to: the record's fields but the subject's, as RFC 8785 takes them.

    Times in UTC, as a row that is read again has them, whatever offset the caller wrote.
    """
    times = ("occurred_at", "corrected_at", "received_at", "authorises_from", "authorises_until")
    return {
        "record_id": str(record.record_id),
        "program": record.program_id,
        "purpose": record.purpose_id,
        "notice": record.notice_id,
        "version": record.version,
        **{name: getattr(record, name) for name in ("state", "act", "method", "locale", "age_band")},
        "turns_14_on": record.turns_14_on.isoformat() if record.turns_14_on else None,
        "evidence": bytes(record.evidence).hex() if record.evidence else None,
        **{name: value.astimezone(UTC).isoformat() if (value := getattr(record, name)) else None for name in times},
    }


def _insert(subject: Subject, records: list[ConsentRecord]) -> None:
    """The leaves, then the records that point to them; neither table is ever updated."""
    leaves = Leaf.objects.bulk_create(
        Leaf(
            program_id=subject.program_id,
            type=LeafType.CONSENT_RECORD,
            hash=leaf_hash(LeafType.CONSENT_RECORD, bytes(record.salt), canonical(record)),
            subject_version=subject.version,
        )
        for record in records
    )
    for record, leaf in zip(records, leaves, strict=True):
        record.leaf_id = leaf.pk
    ConsentRecord.objects.bulk_create(records)


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
        records = ConsentRecord.objects.filter(subject_id=subject_id, idempotency=idempotency.key_hash)
    rows = list(records.order_by("-version", "id").select_related("purpose", "subject"))
    if not rows and all(decision.decision == "withdrawn" for decision in decisions):
        return None, [Recorded(None, decision.purpose, State.UNKNOWN, None) for decision in decisions]
    if not rows:
        raise Conflict("subject_erased", "what this Idempotency-Key recorded has been erased since")
    # A key used again after its 24 hours is on older records too.
    rows = [row for row in rows if row.version == rows[0].version]
    signed = receipts.issued(vault, rows)
    return rows[0].subject.pseudonym, [
        Recorded(row.record_id, row.purpose.code, row.state, signed[row.record_id]) for row in rows
    ]
