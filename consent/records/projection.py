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
    held: ConsentState | None,
    version: NoticePurpose | None,
    decided: State,
    turns_14_on: date | None,
    corrected_at: datetime,
) -> Allowed | None:
    """What a decision allows: nothing unless given; nothing where it is dated before the newest refusal or the like.

    from = max(corrected consent time, the notice's effective time); the refusal's time cannot exceed it (checked
    first). until = min(expiry, the 14th birthday, in UTC: the earliest instant of that day anywhere is 14 h before).
    """
    if decided != State.GIVEN or version is None:
        return None
    if held is not None and held.barrier_at is not None and corrected_at <= held.barrier_at:
        return None
    if held is not None and held.state in AUTHORISING and held.record_from and corrected_at < held.record_from:
        return None
    since = max(corrected_at, version.notice.effective_at)
    ends = []
    if version.validity_days is not None:
        ends.append(corrected_at + timedelta(days=version.validity_days))
    if turns_14_on is not None:
        birthday = datetime.combine(turns_14_on, time.min, tzinfo=UTC) - timedelta(hours=14)
        if birthday > corrected_at:
            ends.append(birthday)
    return Allowed(since, min(ends, default=None))


def project(
    subject: Subject,
    held: ConsentState | None,
    lapses: Coverage | None,
    decided: State,
    record: ConsentRecord,
    now: datetime,
) -> ConsentState:
    """The state after a record. `lapses` is what the catalogue says of the state's own notice."""
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
    state.guardian_pending = subject.guardian_pending
    if record.authorises_from is not None:
        _grant(state, lapses, record, now)
    elif decided in (State.REFUSED, State.WITHDRAWN):
        _end(state, decided, record, now)
    elif decided == State.REQUESTED and state.state == State.UNKNOWN:
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
    """Whether the grant before still stands when the new one begins: no expiry and no material version between."""
    if state.state not in AUTHORISING or state.renewal_required:
        return False
    begins = max(since, now)
    expired = state.grant_until is not None and state.grant_until < begins
    lapsed = lapses is None or (lapses.lapses_at is not None and lapses.lapses_at < begins)
    return not expired and not lapsed


def _end(state: ConsentState, decided: State, record: ConsentRecord, now: datetime) -> None:
    state.state, state.record_id, state.barrier_at = decided, record.id, now
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
