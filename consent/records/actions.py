"""Writing consent: one act of a subject, one or more decisions, all or nothing."""

import uuid
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from typing import Any

from django.db import connection

from consent.errors import Conflict, Fault, Invalid
from consent.ledger.leaves import LeafType, leaf_hash, new_salt
from consent.ledger.models import Leaf
from consent.notices.models import NoticePurpose, Purpose
from consent.programs.idempotency import IdempotencyKey, claim
from consent.programs.tenancy import tenant
from consent.records import projection
from consent.records.grants import CLOCK_TOLERANCE
from consent.records.models import ConsentRecord, ConsentState, State, WithdrawalIntent
from consent.records.queries import coverage, db_now
from consent.vault import identities
from consent.vault.envelope import Cell
from consent.vault.identities import SubjectTaken, Vault
from consent.vault.lookup import Identifiers
from consent.vault.models import Subject

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

    method: str = "dialog"
    kind: str = "single"
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
    """A record made, and the state it came to."""

    record_id: uuid.UUID
    purpose: str
    state: str


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
) -> tuple[uuid.UUID, list[Recorded]]:
    """Record an act; answers the subject's pseudonym and the records, in the decisions' order.

    Raises Invalid (unknown purpose or notice, separate consent, dates), Conflict (identity, an open erasure).
    """
    named = identities.checked(identifiers)
    _announce(vault, program_id, named, decisions)
    for _ in range(CREATION_ATTEMPTS):
        try:
            with tenant(program_id):
                if idempotency is not None and not claim(idempotency):
                    return _recorded_before(vault, program_id, named, idempotency)
                told = _told(program_id, notice, decisions, act)
                subject = _held(vault, program_id, named)
                moment = _moment(subject, act, may_import)
                recorded = _record(vault, subject, told, act, moment, client_id, idempotency)
                return subject.pseudonym, recorded
        except SubjectTaken:
            continue
    raise Conflict("subject_changing", "the subject is being created by another call; send this again", retry_after=1)


def _announce(vault: Vault, program_id: int, named: dict[str, str], decisions: Sequence[Decision]) -> None:
    """Commit the intent to end grants before waiting for their locks, so that ingest cannot starve it."""
    ending = [d.purpose for d in decisions if d.decision in ("refused", "withdrawn")]
    if not ending:
        return
    with tenant(program_id):
        subject_id = identities.resolve_many(vault, program_id, [named])[0]
        if subject_id is not None:
            announce(subject_id, purposes=ending)


def announce(subject_id: int, *, purposes: Sequence[str] | None = None) -> None:
    """Insert intents for the subject's states (of all purposes by default). Call in a transaction of its own."""
    with connection.cursor() as cursor:
        cursor.execute(
            "INSERT INTO withdrawal_intent (subject_id, purpose_id, program_id)"
            " SELECT s.subject_id, s.purpose_id, s.program_id FROM consent_state s"
            " JOIN purpose p ON p.id = s.purpose_id"
            " WHERE s.subject_id = %s AND (%s::text[] IS NULL OR p.code = ANY(%s))"
            " ORDER BY s.purpose_id ON CONFLICT DO NOTHING",
            [subject_id, *[None if purposes is None else list(purposes)] * 2],
        )


def _told(program_id: int, notice: str | None, decisions: Sequence[Decision], act: Act) -> list[Told]:
    """Check the decisions against the purposes and the notice."""
    codes = [decision.purpose for decision in decisions]
    purposes = {p.code: p for p in Purpose.objects.filter(program_id=program_id, code__in=codes)}
    versions: dict[int, NoticePurpose] = {}
    if notice is not None:
        told = NoticePurpose.objects.filter(program_id=program_id, notice__sha256=notice).select_related("notice")
        versions = {version.purpose_id: version for version in told.defer("notice__body")}
        if not versions:
            raise _invalid(
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
        return Fault("purpose_inactive", "this purpose is no longer active; do not ask for it", pointer)
    bundled = act.kind != "single" or len(codes) > 1
    if decision.decision == "given" and purpose.separate_consent and bundled:
        return Fault(
            "separate_consent_required", "this purpose needs an act of its own: act single, one decision", pointer
        )
    return None


def _held(vault: Vault, program_id: int, named: dict[str, str]) -> Subject:
    """The subject with its row locked, created where nobody knew them. Raises SubjectTaken, Conflict."""
    subject_id = identities.resolve_many(vault, program_id, [named])[0]
    if subject_id is None:
        return identities.create(vault, program_id, named)
    subject = Subject.objects.select_for_update(no_key=True).filter(id=subject_id).first()
    if subject is None:
        raise SubjectTaken
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


def _moment(subject: Subject, act: Act, may_import: bool) -> Moment:
    """Takes the states' locks first, so that `received_at` is later than every batch that came before this act."""
    locked = ConsentState.objects.select_for_update().filter(subject=subject).order_by("purpose_id")
    before = {state.purpose_id: state for state in locked}
    now = db_now()
    occurred = act.occurred_at or now
    corrected = now - (act.sent_at - occurred) if act.sent_at is not None else occurred
    if corrected > now + CLOCK_TOLERANCE:
        raise _invalid("in_the_future", "the act lies in the future; send sent_at, the sender's clock", "/occurred_at")
    if corrected < now - FRESH:
        if not may_import:
            raise _invalid("too_old", "an act of more than 24 hours ago needs a key with scope import", "/occurred_at")
        if subject.version:
            raise _invalid("too_old", "past consents are imported for subjects without records only", "/occurred_at")
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
    _advance(subject, act, before)
    covered = coverage(subject.program_id) if before else {}
    states, records = [], []
    for item in told:
        held = before.get(item.purpose.id)
        lapses = covered.get((item.purpose.id, held.notice_id)) if held and held.notice_id else None
        allows = projection.authorises(held, item.version, item.decided, act.turns_14_on, moment.corrected_at)
        record = _new_record(vault, subject, item, act, moment, allows)
        record.client_id, record.idempotency = client_id, idempotency.key_hash if idempotency else None
        records.append(record)
        states.append((held, lapses, item, record))
    _insert(subject, records)
    after = [
        projection.project(subject, held, lapses, item.decided, record, moment.received_at)
        for held, lapses, item, record in states
    ]
    projection.write(after)
    if before:
        WithdrawalIntent.objects.filter(subject=subject, purpose_id__in=[item.purpose.id for item in told]).delete()
    return [
        Recorded(record.record_id, item.purpose.code, state.state)
        for item, record, state in zip(told, records, after, strict=True)
    ]


def _advance(subject: Subject, act: Act, before: dict[int, ConsentState]) -> None:
    """Count the act, and set on all the subject's states whether a guardian is waited for: the gate locks no more."""
    subject.version += 1
    pending = act.guardian is None and (subject.guardian_pending or act.age_band == "under_14")
    if pending != subject.guardian_pending and before:
        ConsentState.objects.filter(subject=subject).update(guardian_pending=pending)
    subject.guardian_pending = pending
    subject.save(update_fields=["version", "guardian_pending"])


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
    """What a leaf commits to: the record's fields but the subject's, as RFC 8785 takes them."""
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
        **{name: value.isoformat() if (value := getattr(record, name)) else None for name in times},
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
    vault: Vault, program_id: int, named: dict[str, str], idempotency: IdempotencyKey
) -> tuple[uuid.UUID, list[Recorded]]:
    """The first answer again, from the rows it made."""
    subject_id = identities.resolve_many(vault, program_id, [named])[0]
    records = ConsentRecord.objects.none()
    if subject_id is not None:
        records = ConsentRecord.objects.filter(subject_id=subject_id, idempotency=idempotency.key_hash).order_by("id")
    rows = list(records.select_related("purpose", "subject"))
    if not rows:
        raise Conflict("subject_erased", "what this Idempotency-Key recorded has been erased since")
    return rows[0].subject.pseudonym, [Recorded(row.record_id, row.purpose.code, row.state) for row in rows]


def _invalid(code: str, detail: str, pointer: str) -> Invalid:
    return Invalid(code, detail, [Fault(code, detail, pointer)])


def sweep_intents(program_id: int, *, older_than: timedelta) -> int:
    """Delete intents whose withdrawal died before it took its locks. They fail safe: ingest answers retry meanwhile."""
    with tenant(program_id):
        deleted, _ = WithdrawalIntent.objects.filter(created_at__lt=db_now() - older_than).delete()
    return deleted
