"""From a decision and the grant before it to the state after it: pure rules, and one write."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

from consent.notices.models import NoticePurpose
from consent.records.grants import AuthorisingRecord, Covered, Grant, Waiting, expiry, of_state, until_14
from consent.records.models import AUTHORISING, ConsentRecord, ConsentState, State
from consent.vault.models import Subject


@dataclass(frozen=True)
class Standing:
    """What is known before a decision: the clock under the locks, what notices say, the grants' pending records."""

    now: datetime
    covered: Covered
    waiting: Waiting

    def of(self, held: ConsentState | None) -> Grant | None:
        return None if held is None else of_state(held).at(self.now, self.waiting, self.covered)


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
    known: Standing,
) -> Allowed | None:
    """What a decision allows: nothing unless given; nothing where it is dated before the newest refusal or the like,
    where it would begin before the record in force, or where it ends before it begins. A record whose guardian is missing, or that
    has to be renewed, is not in force: a guardian who consented before the child's own last tap is heard.

    from = max(corrected consent time, the notice's effective time); the barriers' times cannot exceed it (checked
    first). until = min(expiry, the 14th birthday, the next material version's effective time); the last is not kept
    with the record, since later versions move it.
    """
    if decided != State.GIVEN or version is None:
        return None
    barriers = [subject.barrier_at, held.barrier_at if held else None]
    if any(barrier is not None and corrected_at <= barrier for barrier in barriers):
        return None
    since, grant = max(corrected_at, version.notice.effective_at), known.of(held)
    if (
        grant is not None
        and grant.state in AUTHORISING
        and not (grant.guardian_pending or grant.renewal_required)
        and grant.record_from
        and since < grant.record_from <= known.now
    ):
        return None
    until = until_14(expiry(corrected_at, version.validity_days), corrected_at, subject.turns_14_on)
    if (until is not None and until <= since) or known.covered[version.purpose_id, version.notice_id].lapsed(since):
        return None
    return Allowed(since, until)


def project(
    subject: Subject,
    held: ConsentState | None,
    record: ConsentRecord,
    allows: Allowed | None,
    unguarded: bool,
    known: Standing,
) -> ConsentState:
    """The state after a record. `unguarded`: what it allows waits for a guardian, and the record itself authorises nothing.

    So it takes the place of nothing that a guardian stands by, in force or to come: it is evidence then (PIPL 31).
    """
    state = held or ConsentState(
        subject=subject,
        purpose=record.purpose,
        program_id=subject.program_id,
        state=State.UNKNOWN,
        record_id=record.id,
        asked_at=known.now,
        restricted=subject.restricted,
        erasure_pending=subject.erasure_pending,
    )
    state.version += 1
    state.asked_at = known.now
    if unguarded and state.state in AUTHORISING and not state.guardian_pending:
        allows = None
    if allows is not None:
        _grant(state, record, allows, known)
        state.guardian_pending, state.renewal_required = unguarded, False
    elif record.state in (State.REFUSED, State.WITHDRAWN):
        _end(state, record, known.now)
    elif record.state == State.REQUESTED and state.state == State.UNKNOWN:
        state.state, state.record_id, state.notice_id = State.REQUESTED, record.id, record.notice_id
    return state


def _grant(state: ConsentState, record: ConsentRecord, allows: Allowed, known: Standing) -> None:
    """Hold the record that is in force (or comes into force first), and those to come as pending.

    Of two that come into force at once the later decision counts. What was given before a guardian's consent was known
    to be missing counts no more, and neither does what had to be renewed.
    """
    assert record.notice_id is not None
    given = AuthorisingRecord(
        state.subject_id,
        state.purpose_id,
        record.id,
        record.notice_id,
        allows.since,
        allows.until,
    )
    grant, queue = of_state(state), [given]
    if grant.state in AUTHORISING and not (grant.guardian_pending or grant.renewal_required):
        grant = grant.at(known.now, known.waiting, known.covered)
        queue += [grant.record, *(known.waiting[record_id] for record_id in grant.pending)]
        queue.sort(key=lambda item: (item.since, item.record_id))
    first, *rest = queue
    if first is given:
        grant = grant.begun_by(given)
    elif given.since <= known.now:
        grant = grant.followed_by(given, known.covered, known.now)
    pending = {item.since: item.record_id for item in rest if item.since > known.now}
    grant = grant._replace(pending=list(pending.values()))
    for name in _GRANT:
        setattr(state, name, getattr(grant, name))


def lapse(state: ConsentState, record: ConsentRecord) -> None:
    """End a grant by a record that nobody decided (expired, invalidated): what is given next may reach back to it."""
    state.version += 1
    _end(state, record, state.barrier_at)
    state.guardian_pending = False


def _end(state: ConsentState, record: ConsentRecord, barrier: datetime | None) -> None:
    state.state, state.record_id, state.barrier_at = record.state, record.id, barrier
    state.notice_id = record.notice_id or state.notice_id
    state.record_from = state.grant_from = state.grant_until = None
    state.pending = []


_GRANT = ("state", "record_id", "notice_id", "record_from", "grant_from", "grant_until", "pending")
_WRITTEN = (*_GRANT, "barrier_at", "asked_at", "guardian_pending", "renewal_required", "version")


def write(states: Iterable[ConsentState]) -> None:
    """Insert or update, in key order. The rows' locks are held by the caller."""
    ConsentState.objects.bulk_create(
        sorted(states, key=lambda state: state.purpose_id),
        update_conflicts=True,
        unique_fields=["subject", "purpose"],
        update_fields=[name.removesuffix("_id") if name == "notice_id" else name for name in _WRITTEN],
    )
