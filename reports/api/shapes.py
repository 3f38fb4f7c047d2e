"""What a reports call asks, by metric. What it is answered: reports.api.answers."""

import datetime
from typing import Annotated, Any, Literal

import msgspec

from consent.errors import Fault, Invalid, invalid
from reports.metrics.anomalies import Anomalies
from reports.metrics.calendar import Interval
from reports.metrics.contribution import Contribution
from reports.metrics.contribution import Measure as Changed
from reports.metrics.conversion import Conversion
from reports.metrics.forecast import MAX_HORIZON, Forecast
from reports.metrics.frequency import By, Frequency
from reports.metrics.funnel import Funnel, Mode, Touch
from reports.metrics.intervals import Between, Pairing
from reports.metrics.paths import Paths, Sequence
from reports.metrics.retention import Retention
from reports.metrics.seasons import Scale
from reports.metrics.series import Measure, Series
from reports.metrics.trends import Trends

Field = Annotated[str, msgspec.Meta(min_length=1, max_length=128)]
MAX_VALUES = 20


class Filter(msgspec.Struct, forbid_unknown_fields=True):
    field: Field
    op: Literal["eq", "ne", "in", "gt", "gte", "lt", "lte", "exists"]
    value: Any = None


class ReportAsked(msgspec.Struct, forbid_unknown_fields=True):
    """Inclusive local dates of the mini-program's zone, 400 days at most. Filters and breakdowns: trends; `dp` is not available."""

    from_: datetime.date = msgspec.field(name="from")
    to: datetime.date
    interval: Interval | None = None
    filters: Annotated[list[Filter], msgspec.Meta(max_length=20)] | None = None
    breakdown: Field | None = None
    privacy: Literal["threshold", "dp"] = "threshold"

    def refuse_unavailable(self, *, csv: bool) -> None:
        """Raises Invalid: nothing that was asked for is left out in silence. `csv`: only the rows of `data` are answered."""
        faults = [
            Fault(f"{name}_unavailable", _UNAVAILABLE[name], f"/{name}")
            for name, wanted in self._unavailable().items()
            if wanted
        ]
        if faults:
            raise Invalid(faults[0].code, faults[0].detail, faults)

    def refuse_custom(self) -> None:
        """Raises Invalid: what threshold mode has a public list for. A sandbox, where nobody is to be hidden, is not asked."""

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


class LifecycleAsked(ReportAsked):
    """New, returning, resurrected and dormant subjects by day, week or month; weeks and months touched count whole."""


class StickinessAsked(ActivityAsked):
    """Answered by day."""


class OverviewAsked(ActivityAsked):
    """Answered by day, beside the day, the week and the month before."""


class SharesAsked(ReportAsked):
    """Shares and what came of them by day, week or month; weeks and months touched count whole."""


class QualityAsked(ReportAsked):
    """What became of the events sent, by day, week or month of their receipt; weeks and months touched count whole."""


class WholeRangeAsked(ReportAsked):
    """One answer over the whole range."""

    def _unavailable(self) -> dict[str, bool]:
        return {"interval": self.interval is not None, **super()._unavailable()}


class RetentionAsked(ReportAsked):
    """Cohorts by `interval`; `periods` cells each, period 0 the first. Events left out mean any event; `brackets` are not available."""

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


class OneDimensionAsked(ReportAsked):
    """One filter (`eq`, `in`) or one breakdown at most."""

    def refuse_unavailable(self, *, csv: bool) -> None:
        super().refuse_unavailable(csv=csv)
        filters = self.filters or []
        if len(filters) + (self.breakdown is not None) > 1:
            detail = "threshold mode takes one filter or one breakdown, not more"
            raise invalid("too_many_dimensions", detail, "/breakdown" if self.breakdown is not None else "/filters/1")
        for one in filters:
            if one.op not in ("eq", "in"):
                raise invalid("operator_unavailable", "threshold mode filters by eq and in", "/filters/0/op")
            _values(one)

    def dimension(self) -> tuple[str | None, frozenset[str] | None]:
        """The field of the filter or breakdown, and the values that a filter lets through."""
        if self.filters:
            return self.filters[0].field, _values(self.filters[0])
        return self.breakdown, None

    def _unavailable(self) -> dict[str, bool]:
        return {"privacy": self.privacy == "dp"}


class TrendsAsked(OneDimensionAsked):
    """Events by `interval`; `event` left out means any. One filter (`eq`, `in`) or one breakdown at most.

    Fields: event, scene, page, os, app_version, device_level, network, channel, and properties.NAME for a boolean or enum
    of the event. `compare`: as many intervals before, in `previous`; not in CSV, which has the rows of `data` only.
    """

    event: Field | None = None
    property: Field | None = None
    compare: Literal["previous"] | None = None

    def refuse_unavailable(self, *, csv: bool) -> None:
        super().refuse_unavailable(csv=csv)
        if csv and self.compare is not None:
            raise invalid("compare_unavailable", "a CSV answer has the rows of data only; ask for JSON", "/compare")

    def options(self) -> Trends:
        field, only = self.dimension()
        return Trends(self.event, self.property, field, only, self.compare is not None)


class ConversionAsked(OneDimensionAsked, kw_only=True):
    """Of those exposed who reached a goal, by `interval`; without an `exposure` any event exposes.

    One filter or one breakdown at most, by element (of both events) or page.
    """

    goal: Field
    exposure: Field | None = None

    def options(self) -> Conversion:
        return Conversion(self.goal, self.exposure, *self.dimension())


class EventNamed(msgspec.Struct, forbid_unknown_fields=True):
    """`where`: to come."""

    event: Field
    where: Any = None


WINDOWS_S = (60, 120, 300, 600, 900, 1800, 3600, 7200, 10_800, 14_400, 21_600, 28_800, 43_200, 86_400, 172_800, 259_200,
             432_000, 604_800, 864_000, 1_209_600, 1_814_400, 2_419_200, 2_592_000)  # fmt: skip
"""The windows that threshold mode answers: answers of any two windows could differ by few people."""

Window = Annotated[int, msgspec.Meta(ge=1, le=WINDOWS_S[-1])]


def refuse_window(window_s: int, pointer: str) -> None:
    """Raises Invalid."""
    if window_s not in WINDOWS_S:
        detail = f"custom windows are refused in threshold mode; take one of {', '.join(map(str, WINDOWS_S))}"
        raise invalid("window_unavailable", detail, pointer)


class FunnelAsked(WholeRangeAsked, kw_only=True):
    """2 to 12 steps, each in time for `window_s` after the first. In threshold mode the window is one of a list.

    `breakdown`: scene, page, os, app_version, device_level, network or channel; of the attempt's first or last touch.
    """

    steps: Annotated[list[EventNamed], msgspec.Meta(min_length=2, max_length=12)]
    window_s: Window
    mode: Mode = "ordered"
    exclusions: Annotated[list[EventNamed], msgspec.Meta(max_length=12)] = []
    attribution: Touch = "first_touch"

    def refuse_unavailable(self, *, csv: bool) -> None:
        super().refuse_unavailable(csv=csv)
        for name, some in (("steps", self.steps), ("exclusions", self.exclusions)):
            for n, one in enumerate(some):
                if one.where is not None:
                    detail = "a step is an event by its name, its properties are not available; leave where out"
                    raise invalid("where_unavailable", detail, f"/{name}/{n}/where")

    def refuse_custom(self) -> None:
        refuse_window(self.window_s, "/window_s")

    def options(self) -> Funnel:
        return Funnel(
            tuple(one.event for one in self.steps),
            datetime.timedelta(seconds=self.window_s),
            self.mode,
            tuple(one.event for one in self.exclusions),
            self.breakdown,
            # Nobody is attributed anywhere without a breakdown: the question is the same.
            self.attribution if self.breakdown else "first_touch",
        )

    def _unavailable(self) -> dict[str, bool]:
        return {**super()._unavailable(), "breakdown": False}


class IntervalsAsked(ReportAsked, kw_only=True):
    """From a start event to an end event, `bound_s` later at most: in threshold mode one of a list."""

    start_event: Field
    end_event: Field
    bound_s: Window
    mode: Pairing = "next_after"

    def refuse_custom(self) -> None:
        refuse_window(self.bound_s, "/bound_s")

    def options(self) -> Between:
        return Between(self.start_event, self.end_event, datetime.timedelta(seconds=self.bound_s), self.mode)


class FrequencyAsked(WholeRangeAsked):
    """Subjects by the number of their events, or days with one, or by the sum of a numeric `property` of the `event`."""

    by: By = "events"
    event: Field | None = None
    property: Field | None = None

    def options(self) -> Frequency:
        return Frequency(self.by, self.event, self.property)


class PathsAsked(WholeRangeAsked):
    """Forward from `start`, backward from `end`, or from the sessions' beginnings: a page or an event, as `sequence` says."""

    sequence: Sequence = "page"
    start: Field | None = None
    end: Field | None = None
    steps: Annotated[int, msgspec.Meta(ge=2, le=20)] = 5

    def refuse_unavailable(self, *, csv: bool) -> None:
        super().refuse_unavailable(csv=csv)
        if self.start is not None and self.end is not None:
            raise invalid("start_or_end", "paths lead forward from a start or backward to an end, not both", "/end")

    def options(self) -> Paths:
        return Paths(self.sequence, self.start, self.end, self.steps)


class SeriesAsked(ActivityAsked):
    """A daily series: subjects, events or sessions; with an `event`, those of this type (sessions are of all)."""

    measure: Measure = "subjects"
    event: Field | None = None

    def series(self) -> Series:
        return Series(self.measure, self.event)


class AnomaliesAsked(SeriesAsked):
    """Days of a series that lie beside what the days before led to expect; 92 at most."""

    scale: Scale = "sqrt"

    def options(self) -> Anomalies:
        return Anomalies(self.series(), self.scale)


class ForecastAsked(SeriesAsked):
    """A series continued for `horizon` days after the last closed day of the range, which is its history."""

    horizon: Annotated[int, msgspec.Meta(ge=1, le=MAX_HORIZON)] = 7

    def options(self) -> Forecast:
        return Forecast(self.series(), self.horizon)


class ContributionAsked(WholeRangeAsked):
    """The change of a measure since an earlier period of as many days, over the values of a `breakdown`, which is needed.

    `compare_from`: its first day; left out, the days right before. `property`: of the `event`, for sum and mean. `per`: of a
    ratio, the event below; left out, any.
    """

    measure: Changed = "events"
    event: Field | None = None
    property: Field | None = None
    per: Field | None = None
    compare_from: datetime.date | None = None

    def refuse_unavailable(self, *, csv: bool) -> None:
        super().refuse_unavailable(csv=csv)
        if self.breakdown is None:
            raise invalid("breakdown_needed", "name the field over whose values the change is told", "/breakdown")

    def options(self) -> Contribution:
        return Contribution(self.breakdown or "", self.measure, self.event, self.property, self.per, self.compare_from)

    def _unavailable(self) -> dict[str, bool]:
        return {**super()._unavailable(), "breakdown": False}


def _values(asked: Filter) -> frozenset[str]:
    """As the events' JSON has them, in text. Raises Invalid."""
    values = asked.value if asked.op == "in" else [asked.value]
    if not isinstance(values, list) or not 0 < len(values) <= MAX_VALUES:
        raise invalid("invalid_filter", f"in takes a list of 1 to {MAX_VALUES} values", "/filters/0/value")
    if not all(isinstance(value, str | int) for value in values):
        raise invalid("invalid_filter", "a value is a text, a whole number or a boolean", "/filters/0/value")
    return frozenset(str(value).lower() if isinstance(value, bool) else str(value) for value in values)


_UNAVAILABLE = {
    "brackets": "retention in brackets of your own is not available; ask for periods",
    "interval": "this metric does not answer by that interval; leave it out",
    "filters": "this metric takes no filters yet; leave them out",
    "breakdown": "this metric takes no breakdown yet; leave it out",
    "privacy": "dp mode is not available; ask for threshold, or leave privacy out",
}


ASKED: dict[str, type[ReportAsked]] = {
    "activity": ActivityAsked,
    "anomalies": AnomaliesAsked,
    "contribution": ContributionAsked,
    "conversion": ConversionAsked,
    "distributions": WholeRangeAsked,
    "forecast": ForecastAsked,
    "frequency": FrequencyAsked,
    "funnel": FunnelAsked,
    "intervals": IntervalsAsked,
    "lifecycle": LifecycleAsked,
    "overview": OverviewAsked,
    "pages": WholeRangeAsked,
    "paths": PathsAsked,
    "quality": QualityAsked,
    "retention": RetentionAsked,
    "sessions": SessionsAsked,
    "shares": SharesAsked,
    "stickiness": StickinessAsked,
    "trends": TrendsAsked,
}
"""By metric; a test holds them and the registry together."""
