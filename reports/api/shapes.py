"""Bodies of the reports call: what is asked, and what is answered."""

import datetime
from typing import Annotated, Any, Literal

import msgspec

from consent.errors import Fault, Invalid
from reports.metrics.calendar import Interval
from reports.metrics.retention import Retention

Field = Annotated[str, msgspec.Meta(min_length=1, max_length=128)]
StatusOfCell = Literal["ok", "suppressed", "not_observable"]


class Filter(msgspec.Struct, forbid_unknown_fields=True):
    field: Field
    op: Literal["eq", "ne", "in", "gt", "gte", "lt", "lte", "exists"]
    value: Any = None


class ReportAsked(msgspec.Struct, forbid_unknown_fields=True):
    """Inclusive local dates of the mini-program's zone, 400 days at most. Filters, breakdowns and `dp` are to come."""

    from_: datetime.date = msgspec.field(name="from")
    to: datetime.date
    interval: Interval | None = None
    filters: Annotated[list[Filter], msgspec.Meta(max_length=20)] | None = None
    breakdown: Field | None = None
    privacy: Literal["threshold", "dp"] = "threshold"

    def refuse_unavailable(self) -> None:
        """Raises Invalid: nothing that was asked for is left out in silence."""
        faults = [
            Fault(f"{name}_unavailable", _UNAVAILABLE[name], f"/{name}")
            for name, wanted in self._unavailable().items()
            if wanted
        ]
        if faults:
            raise Invalid(faults[0].code, faults[0].detail, faults)

    def options(self) -> object:
        """What a metric takes beside dates and interval."""
        return None

    def _unavailable(self) -> dict[str, bool]:
        return {
            "filters": bool(self.filters),
            "breakdown": self.breakdown is not None,
            "privacy": self.privacy == "dp",
        }


class ActivityAsked(ReportAsked):
    """Activity answers by day."""

    def _unavailable(self) -> dict[str, bool]:
        return {"interval": self.interval not in (None, "day"), **super()._unavailable()}


class SessionsAsked(ReportAsked):
    """Sessions by day, week or month; weeks and months touched count whole."""


class QualityAsked(ReportAsked):
    """What became of the events sent, by day, week or month of their receipt; weeks and months touched count whole."""


class RetentionAsked(ReportAsked):
    """Cohorts by `interval`; `periods` cells each, period 0 the first. Events left out mean any event."""

    cohort: Literal["first_time", "recurring"] = "first_time"
    cohort_event: Field | None = None
    return_event: Field | None = None
    mode: Literal["on", "on_or_after"] = "on"
    clock: Literal["calendar", "rolling_24h"] = "calendar"
    periods: Annotated[int, msgspec.Meta(ge=1, le=60)] = 8
    brackets: list[int] | None = None

    def options(self) -> Retention:
        return Retention(self.cohort, self.cohort_event, self.return_event, self.mode, self.clock, self.periods)

    def _unavailable(self) -> dict[str, bool]:
        return {"brackets": self.brackets is not None, **super()._unavailable()}


_UNAVAILABLE = {
    "brackets": "custom windows are refused in threshold mode; ask for periods",
    "interval": "this metric answers by day; weeks and months come beside it",
    "filters": "this metric takes no filters yet; leave them out",
    "breakdown": "this metric takes no breakdown yet; leave it out",
    "privacy": "this metric has no dp mode yet; ask for threshold",
}


class Privacy(msgspec.Struct):
    """How the figures were made safe: no cell rests on fewer than `k` subjects."""

    mode: str
    k: int
    suppressed_cells: int


class Date(msgspec.Struct):
    """A cell that is not `ok` in `status` is null. `closed`: 48 h have passed since; otherwise it may still change."""

    date: datetime.date
    dau: int | None
    wau_rolling: int | None
    mau_rolling: int | None
    events: int | None
    sessions: int | None
    closed: bool
    status: dict[str, StatusOfCell]


class Week(msgspec.Struct):
    """Named by its Monday."""

    week: datetime.date
    wau: int | None
    closed: bool
    status: dict[str, StatusOfCell]


class Month(msgspec.Struct):
    """Named by its first day."""

    month: datetime.date
    mau: int | None
    closed: bool
    status: dict[str, StatusOfCell]


class ActivityAnswered(msgspec.Struct):
    """Activity by day, and of the whole weeks and months touched. `revision` grows when a figure told before changes."""

    definition: str
    zone: str
    as_of: datetime.datetime
    revision: int
    privacy: Privacy
    data: list[Date]
    weeks: list[Week]
    months: list[Month]
    withdrawn_subjects: int | None
    status: dict[str, StatusOfCell]


class Visits(msgspec.Struct):
    """Sessions of a date, a week (its Monday) or a month (its first day), whichever was asked."""

    sessions: int | None
    bounce_rate: float | None
    mean_depth: float | None
    mean_duration_s: float | None
    closed: bool
    status: dict[str, StatusOfCell]
    date: datetime.date | None = None
    week: datetime.date | None = None
    month: datetime.date | None = None


class SessionsAnswered(msgspec.Struct):
    """Sessions over all intervals asked, and of each in `data`."""

    definition: str
    zone: str
    as_of: datetime.datetime
    revision: int
    privacy: Privacy
    data: list[Visits]
    sessions: int | None
    bounce_rate: float | None
    mean_depth: float | None
    mean_duration_s: float | None
    withdrawn_subjects: int | None
    status: dict[str, StatusOfCell]


class Answers(msgspec.Struct, kw_only=True):
    """Events by what became of them; the refused ones by code too."""

    accepted: int | None
    late: int | None
    duplicate: int | None
    refused: int | None
    consent_missing: int | None
    consent_refused: int | None
    consent_withdrawn: int | None
    consent_expired: int | None
    outside_consent: int | None
    renewal_required: int | None
    guardian_required: int | None
    restricted: int | None
    erasure_pending: int | None
    unknown_event: int | None
    undeclared_property: int | None
    invalid_property: int | None
    identifier_in_property: int | None
    too_old: int | None
    in_the_future: int | None
    invalid_event: int | None
    status: dict[str, StatusOfCell]


class AnswersOfType(Answers, kw_only=True):
    """Of an event type in a date, week or month. `event` empty: no type of the catalogue, or not to be read."""

    event: str
    closed: bool
    date: datetime.date | None = None
    week: datetime.date | None = None
    month: datetime.date | None = None


class QualityAnswered(Answers, kw_only=True):
    """What became of the events over all intervals and types, and of each in `data`."""

    definition: str
    zone: str
    as_of: datetime.datetime
    revision: int
    privacy: Privacy
    data: list[AnswersOfType]
    withdrawn_subjects: int | None


class CohortAnswered(msgspec.Struct):
    """A cohort, named by its first day. `values` and their `status` from period 0 on."""

    cohort: datetime.date
    size: int | None
    size_status: StatusOfCell
    values: list[int | None]
    status: list[StatusOfCell]
    closed: bool


class RetentionAnswered(msgspec.Struct):
    """Retention by cohort. Who withdrew is missing, so it is biased upwards."""

    definition: str
    zone: str
    as_of: datetime.datetime
    revision: int
    privacy: Privacy
    data: list[CohortAnswered]
    withdrawn_subjects: int | None
    status: dict[str, StatusOfCell]


ASKED: dict[str, type[ReportAsked]] = {
    "activity": ActivityAsked,
    "quality": QualityAsked,
    "retention": RetentionAsked,
    "sessions": SessionsAsked,
}
ANSWERED: dict[str, type[msgspec.Struct]] = {
    "activity": ActivityAnswered,
    "quality": QualityAnswered,
    "retention": RetentionAnswered,
    "sessions": SessionsAnswered,
}
"""By metric; a test holds them and the registry together."""
