"""What a consent state allows at an instant: the predicate's part (b) and (c), in one place for the gate and the status call."""

from dataclasses import dataclass
from datetime import datetime, timedelta

from consent.records.models import AUTHORISING, ConsentState, State

CLOCK_TOLERANCE = timedelta(seconds=60)

_CODES = {
    State.REFUSED: "consent_refused",
    State.WITHDRAWN: "consent_withdrawn",
    State.EXPIRED: "consent_expired",
}


@dataclass(frozen=True, slots=True)
class Coverage:
    """What a notice says of a purpose: the categories it covers, and when a material later version ends its consents."""

    categories: frozenset[str]
    lapses_at: datetime | None


@dataclass(frozen=True, slots=True)
class Grant:
    """A consent state as read under its lock."""

    subject_id: int
    purpose_id: int
    state: str
    record_id: int
    notice_id: int | None
    record_from: datetime | None
    grant_from: datetime | None
    grant_until: datetime | None
    restricted: bool
    erasure_pending: bool
    guardian_pending: bool
    renewal_required: bool

    def refusal(self, now: datetime, coverage: Coverage | None) -> str | None:
        """API.md's code for why nothing may be stored at `now`, or None."""
        if self.erasure_pending:
            return "erasure_pending"
        if self.restricted:
            return "restricted"
        if self.state not in AUTHORISING or self.grant_from is None:
            return _CODES.get(State(self.state), "consent_missing")
        if self.guardian_pending:
            return "guardian_required"
        if self.renewal_required or coverage is None or (coverage.lapses_at and coverage.lapses_at <= now):
            return "renewal_required"
        if self.grant_until is not None and now >= self.grant_until:
            return "consent_expired"
        return None

    def covers(self, occurred_at: datetime, corrected_at: datetime, now: datetime) -> bool:
        """Whether an event lies in the current unbroken grant; neither clock may reach back before it."""
        return (
            self.grant_from is not None
            and self.grant_from <= min(occurred_at, corrected_at)
            and corrected_at <= now + CLOCK_TOLERANCE
        )


FIELDS = tuple(Grant.__dataclass_fields__)


def of_state(state: ConsentState) -> Grant:
    return Grant(*(getattr(state, name) for name in FIELDS))
