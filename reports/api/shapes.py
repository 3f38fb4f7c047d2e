"""What a reports call asks, by metric. What it is answered: reports.api.answers."""

import datetime
from typing import Annotated, Any, Literal

import msgspec

from consent.errors import Fault, Invalid, invalid
from reports.metrics.calendar import Interval
from reports.metrics.retention import Retention
from reports.metrics.trends import Trends

Field = Annotated[str, msgspec.Meta(min_length=1, max_length=128)]
MAX_VALUES = 20


class Filter(msgspec.Struct, forbid_unknown_fields=True):
    field: Field
    op: Literal["eq", "ne", "in", "gt", "gte", "lt", "lte", "exists"]
    value: Any = None


class ReportAsked(msgspec.Struct, forbid_unknown_fields=True):
    """Inclusive local dates of the mini-program's zone, 400 days at most. Filters and breakdowns: trends; `dp` is to come."""

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


class WholeRangeAsked(ReportAsked):
    """One answer over the whole range."""

    def _unavailable(self) -> dict[str, bool]:
        return {"interval": self.interval is not None, **super()._unavailable()}


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


class TrendsAsked(ReportAsked):
    """Events by `interval`; `event` left out means any. One filter (`eq`, `in`) or one breakdown at most.

    Fields: event, scene, page, os, app_version, device_level, network, channel, and properties.NAME for a boolean or enum
    of the event. `compare`: as many intervals before, in `previous`.
    """

    event: Field | None = None
    property: Field | None = None
    compare: Literal["previous"] | None = None

    def refuse_unavailable(self) -> None:
        super().refuse_unavailable()
        filters = self.filters or []
        if len(filters) + (self.breakdown is not None) > 1:
            detail = "threshold mode takes one filter or one breakdown, not more"
            raise invalid("too_many_dimensions", detail, "/breakdown" if self.breakdown is not None else "/filters/1")
        for one in filters:
            if one.op not in ("eq", "in"):
                raise invalid("operator_unavailable", "threshold mode filters by eq and in", "/filters/0/op")
            _values(one)

    def options(self) -> Trends:
        only = _values(self.filters[0]) if self.filters else None
        field = self.filters[0].field if self.filters else self.breakdown
        return Trends(self.event, self.property, field, only, self.compare is not None)

    def _unavailable(self) -> dict[str, bool]:
        return {"privacy": self.privacy == "dp"}


def _values(asked: Filter) -> frozenset[str]:
    """As the events' JSON has them, in text. Raises Invalid."""
    values = asked.value if asked.op == "in" else [asked.value]
    if not isinstance(values, list) or not 0 < len(values) <= MAX_VALUES:
        raise invalid("invalid_filter", f"in takes a list of 1 to {MAX_VALUES} values", "/filters/0/value")
    if not all(isinstance(value, str | int) for value in values):
        raise invalid("invalid_filter", "a value is a text, a whole number or a boolean", "/filters/0/value")
    return frozenset(str(value).lower() if isinstance(value, bool) else str(value) for value in values)


_UNAVAILABLE = {
    "brackets": "custom windows are refused in threshold mode; ask for periods",
    "interval": "this metric does not answer by that interval; leave it out",
    "filters": "this metric takes no filters yet; leave them out",
    "breakdown": "this metric takes no breakdown yet; leave it out",
    "privacy": "this metric has no dp mode yet; ask for threshold",
}


ASKED: dict[str, type[ReportAsked]] = {
    "activity": ActivityAsked,
    "distributions": WholeRangeAsked,
    "pages": WholeRangeAsked,
    "quality": QualityAsked,
    "retention": RetentionAsked,
    "sessions": SessionsAsked,
    "trends": TrendsAsked,
}
"""By metric; a test holds them and the registry together."""
