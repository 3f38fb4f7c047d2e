"""From a decision and the state before it to the state after it: pure rules, and one write."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta

from consent.notices.models import NoticePurpose
from consent.records.grants import Coverage
from consent.records.models import AUTHORISING, ConsentRecord, ConsentState, State
from consent.vault.models import Subject


@dataclass(frozen=True)
class Allowed:
    """The time a record authorises: from ≤ t < until (None: until withdrawn)."""

    since: datetime
    until: datetime | None


def authorises(
    subject: Subject,
    held: ConsentState | None,
    version: NoticePurpose | None,
    decided: State,
    corrected_at: datetime,
) -> Allowed | None:
    """What a decision allows: nothing unless given; nothing where it is dated before the newest refusal or the like.

    from = max(corrected consent time, the notice's effective time); the barriers' times cannot exceed it (checked
    first). until = min(expiry, the 14th birthday).
    """
    if decided != State.GIVEN or version is None:
        return None
    barriers = [subject.barrier_at, held.barrier_at if held else None]
    if any(barrier is not None and corrected_at <= barrier for barrier in barriers):
        return None
    if held is not None and held.state in AUTHORISING and held.record_from and corrected_at < held.record_from:
        return None
    ends = []
    if version.validity_days is not None:
        ends.append(corrected_at + timedelta(days=version.validity_days))
    if subject.turns_14_on is not None and (birthday := begins(subject.turns_14_on)) > corrected_at:
        ends.append(birthday)
    return Allowed(max(corrected_at, version.notice.effective_at), min(ends, default=None))


def begins(day: date) -> datetime:
    """The earliest instant of a day anywhere on earth: 14 hours before its midnight in UTC."""
    return datetime.combine(day, time.min, tzinfo=UTC) - timedelta(hours=14)


def project(
    subject: Subject,
    held: ConsentState | None,
    lapses: Coverage | None,
    record: ConsentRecord,
    guardian: bool,
    now: datetime,
) -> ConsentState:
    """The state after a record. `lapses`: what the catalogue says of the state's own notice; `guardian`: one stands by it."""
    state = held or ConsentState(
        subject=subject,
        purpose=record.purpose,
        program_id=subject.program_id,
        state=State.UNKNOWN,
        record_id=record.id,
        asked_at=now,
        restricted=subject.restricted,
        erasure_pending=subject.erasure_pending,
    )
    state.version += 1
    state.asked_at = now
    if record.authorises_from is not None:
        _grant(state, lapses, record, now)
        state.guardian_pending = subject.under_14 and not guardian
    elif record.state in (State.REFUSED, State.WITHDRAWN):
        _end(state, record, now)
    elif record.state == State.REQUESTED and state.state == State.UNKNOWN:
        state.state, state.record_id, state.notice_id = State.REQUESTED, record.id, record.notice_id
    return state


def _grant(state: ConsentState, lapses: Coverage | None, record: ConsentRecord, now: datetime) -> None:
    assert record.authorises_from is not None
    if _unbroken(state, lapses, record.authorises_from, now):
        state.state = State.RENEWED
    else:
        state.state, state.grant_from = State.GIVEN, record.authorises_from
    state.record_id, state.notice_id = record.id, record.notice_id
    state.record_from, state.grant_until = record.authorises_from, record.authorises_until
    state.renewal_required = False


def _unbroken(state: ConsentState, lapses: Coverage | None, since: datetime, now: datetime) -> bool:
    """Whether the grant before still stands when the new one begins: no expiry, no material version, no guardian missing."""
    if state.state not in AUTHORISING or state.renewal_required or state.guardian_pending:
        return False
    begins = max(since, now)
    expired = state.grant_until is not None and state.grant_until < begins
    lapsed = lapses is None or (lapses.lapses_at is not None and lapses.lapses_at < begins)
    return not expired and not lapsed


def _end(state: ConsentState, record: ConsentRecord, now: datetime) -> None:
    state.state, state.record_id, state.barrier_at = record.state, record.id, now
    state.notice_id = record.notice_id or state.notice_id
    state.record_from = state.grant_from = state.grant_until = None


_WRITTEN = (
    "state", "record_id", "notice_id", "record_from", "grant_from", "grant_until", "barrier_at", "asked_at",
    "guardian_pending", "renewal_required", "version",
)  # fmt: skip


def write(states: Iterable[ConsentState]) -> None:
    """Insert or update, in key order. The rows' locks are held by the caller."""
    ConsentState.objects.bulk_create(
        sorted(states, key=lambda state: state.purpose_id),
        update_conflicts=True,
        unique_fields=["subject", "purpose"],
        update_fields=[name.removesuffix("_id") if name == "notice_id" else name for name in _WRITTEN],
    )
