"""What a consent state allows at an instant: the predicate's part (b) and (c), in one place for the gate and the status call."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from typing import NamedTuple

from consent.records.models import AUTHORISING, ConsentState, State

CLOCK_TOLERANCE = timedelta(seconds=60)
EVERYWHERE = timedelta(hours=12)
"""From the midnight of a day in UTC to when it has begun everywhere on earth."""

_CODES = {
    State.REFUSED: "consent_refused",
    State.WITHDRAWN: "consent_withdrawn",
    State.EXPIRED: "consent_expired",
}


@dataclass(frozen=True, slots=True)
class Coverage:
    """What a notice says of a purpose: the categories it covers, how many days what is collected is kept, and when a
    material later version ends its consents."""

    categories: frozenset[str]
    retention_days: int
    lapses_at: datetime | None

    def lapsed(self, now: datetime) -> bool:
        return self.lapses_at is not None and self.lapses_at <= now


Covered = Mapping[tuple[int, int], Coverage]
"""(purpose id, notice id) -> Coverage."""


@dataclass(frozen=True, slots=True)
class AuthorisingRecord:
    """A record that authorises since ≤ t < until (None: until withdrawn)."""

    subject_id: int
    purpose_id: int
    record_id: int
    notice_id: int
    since: datetime
    until: datetime | None


Waiting = Mapping[int, AuthorisingRecord]
"""The records that grants hold as pending, by id."""


class Grant(NamedTuple):
    """A consent state as read under its lock: a tuple, since a batch reads a thousand."""

    subject_id: int
    purpose_id: int
    state: str
    record_id: int
    notice_id: int | None
    record_from: datetime | None
    grant_from: datetime | None
    grant_until: datetime | None
    pending: Sequence[int]
    barrier_at: datetime | None
    restricted: bool
    erasure_pending: bool
    guardian_pending: bool
    renewal_required: bool

    def refusal(self, now: datetime, coverage: Coverage | None) -> str | None:
        """The API's code for why nothing may be stored at `now`, or None."""
        if self.erasure_pending:
            return "erasure_pending"
        if self.restricted:
            return "restricted"
        if self.state not in AUTHORISING or self.grant_from is None:
            return _CODES.get(State(self.state), "consent_missing")
        if self.guardian_pending:
            return "guardian_required"
        if self.renewal_required or coverage is None or coverage.lapsed(now):
            return "renewal_required"
        if self.grant_until is not None and now >= self.grant_until:
            return "consent_expired"
        return None if self.grant_from <= now else "outside_consent"

    def as_told(self, refusal: str | None) -> State:
        """The state as people and callers are told it: of a consent that ran out no record is written, so the clock says it."""
        return State.EXPIRED if refusal == "consent_expired" else State(self.state)

    def covers(self, occurred_at: datetime, corrected_at: datetime, now: datetime) -> bool:
        """Whether an event lies in the current unbroken grant; neither clock may reach back before it."""
        return (
            self.grant_from is not None
            and self.grant_from <= min(occurred_at, corrected_at)
            and corrected_at <= now + CLOCK_TOLERANCE
        )

    def plainly_covers(self, occurred_at: datetime, corrected_at: datetime, now: datetime) -> bool:
        """Whether the record in force covers an event, told at one look, and no record waits to follow it.

        Of a notice that has not lapsed. Where it says no, `refusal` and `covers` tell what is so.
        """
        return (
            self.state in AUTHORISING
            and self.grant_from is not None
            and self.record_from is not None
            and not (self.erasure_pending or self.restricted or self.guardian_pending or self.renewal_required)
            and not self.pending
            and (self.grant_until is None or now < self.grant_until)
            and self.grant_from <= now
            and self.grant_from <= occurred_at
            and self.grant_from <= corrected_at
            and self.record_from <= corrected_at <= now + CLOCK_TOLERANCE
        )

    def told(self, covered: Covered) -> Coverage | None:
        return covered.get((self.purpose_id, self.notice_id)) if self.notice_id is not None else None

    @property
    def record(self) -> AuthorisingRecord:
        """The record in force, or the first to come: of a state that is given or renewed."""
        assert self.notice_id is not None and self.record_from is not None
        return AuthorisingRecord(
            self.subject_id, self.purpose_id, self.record_id, self.notice_id, self.record_from, self.grant_until
        )

    def at(self, moment: datetime, waiting: Waiting, covered: Covered) -> "Grant":
        """The grant once the pending records whose time has come by a moment are in force, one after the other.

        None of a consent that has ended: while a release is rolled out, a process of the one before leaves them there.
        """
        if self.state not in AUTHORISING:
            return self._replace(pending=[])
        grant = self
        for place, record_id in enumerate(self.pending):
            record = waiting[record_id]
            if record.since > moment:
                return grant._replace(pending=self.pending[place:])
            # A version published since may have superseded the record's before it took effect.
            if not covered[record.purpose_id, record.notice_id].lapsed(record.since):
                grant = grant.followed_by(record, covered, record.since)
        return grant._replace(pending=[])

    def followed_by(self, record: AuthorisingRecord, covered: Covered, moment: datetime) -> "Grant":
        """The grant with a record that comes into force at a moment: unbroken if it stands then, else begun anew."""
        anew = self.begun_by(record)
        return anew._replace(state=State.RENEWED, grant_from=self.grant_from) if self._stands(covered, moment) else anew

    def begun_by(self, record: AuthorisingRecord) -> "Grant":
        """A grant that begins with a record, and reaches back over no barrier."""
        return self._replace(
            state=State.GIVEN,
            record_id=record.record_id,
            notice_id=record.notice_id,
            record_from=record.since,
            grant_from=max(record.since, self.barrier_at or record.since),
            grant_until=record.until,
        )

    def _stands(self, covered: Covered, moment: datetime) -> bool:
        """Whether neither its expiry nor a material version ended the grant before a moment."""
        told = self.told(covered)
        lapsed = told is None or (told.lapses_at is not None and told.lapses_at < moment)
        return not lapsed and (self.grant_until is None or self.grant_until >= moment)


def expiry(consented_at: datetime, validity_days: int | None) -> datetime | None:
    """When a consent counts no more by what its notice says; None: it counts until it is withdrawn."""
    return None if validity_days is None else consented_at + timedelta(days=validity_days)


def begins(day: date) -> datetime:
    """The earliest instant of a day anywhere on earth: 14 hours before its midnight in UTC."""
    return datetime.combine(day, time.min, tzinfo=UTC) - timedelta(hours=14)


def begun_everywhere(day: date) -> datetime:
    """The earliest instant at which a day has begun everywhere on earth: noon in UTC."""
    return datetime.combine(day, time.min, tzinfo=UTC) + EVERYWHERE


def turning_14(turns_14_on: date | None, at: datetime) -> bool:
    """Whether it is their 14th birthday in one part of the world and not yet in another: nobody can consent then."""
    return turns_14_on is not None and begins(turns_14_on) <= at < begun_everywhere(turns_14_on)


def until_14(until: datetime | None, consented_at: datetime, turns_14_on: date | None) -> datetime | None:
    """When a consent ends: at the subject's 14th birthday at the latest, if it was given before that.

    The date says no zone. Where the birthday has begun somewhere the child may be 14, and no guardian's consent counts;
    until it has begun everywhere they may not be, and their own does not: what is given meanwhile never counts.
    """
    if turns_14_on is None or begun_everywhere(turns_14_on) <= consented_at:
        return until
    return min(until or begins(turns_14_on), begins(turns_14_on))


FIELDS = Grant._fields


def of_state(state: ConsentState) -> Grant:
    return Grant(*(getattr(state, name) for name in FIELDS))
