"""The reports' pages: an entry a metric of the registry, saying what its form offers and which charts it shows.

What is shown in tables needs no word here: all that REST answers. A test fails for a metric without an entry.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Any

from django.utils.translation import gettext_lazy as _

from reports.admin.charts import band, bars, funnel, heat, line, sankey, stacked, triangle, waterfall
from reports.admin.charts.shared import Asked, Figure
from reports.admin.tables import Answered
from reports.metrics import conversion
from reports.metrics import funnel as funnels
from reports.metrics.trends import FIELDS, PROPERTY

if TYPE_CHECKING:
    from django.utils.functional import _StrPromise

NOT_OFFERED = {"filters", "privacy", "brackets"}
"""What REST takes and no form offers: a filter's value, which may be anything, would become part of the address, and a breakdown
has the same figures; `privacy` and `brackets` have one value yet."""


@dataclass(frozen=True)
class Chart:
    """`draw(answered, asked)`. A wide chart is scrolled rather than squeezed where the screen is narrow."""

    title: "_StrPromise"
    draw: Callable[[Answered, Asked], Figure]
    wide: bool = False


@dataclass(frozen=True)
class Page:
    """`options`: REST's fields beside the range that the form offers. `breakdowns`: fields to choose from; `properties.`
    for those of the catalogue. `heat`: columns of the tables that are shaded by how large their figures are.
    `days`: how many of the last closed ones are asked unless an officer asks otherwise, and `usual` what else is."""

    title: "_StrPromise"
    about: "_StrPromise"
    icon: str
    charts: Sequence[Chart]
    options: Sequence[str] = ()
    breakdowns: Sequence[str] = ()
    heat: Sequence[str] = ()
    days: int = 28
    usual: Mapping[str, str] = field(default_factory=dict)


DIMENSIONS = {
    "scene": _("Sessions by entry scene"),
    "os": _("Sessions by operating system"),
    "app_version": _("Sessions by app version"),
    "dwell_band": _("Sessions by duration (s)"),
    "depth_band": _("Sessions by number of views"),
}
_REFUSED = (
    "consent_missing", "consent_refused", "consent_withdrawn", "consent_expired", "outside_consent", "renewal_required",
    "guardian_required", "restricted", "erasure_pending", "unknown_event", "undeclared_property", "invalid_property",
    "identifier_in_property", "too_old", "in_the_future", "invalid_event",
)  # fmt: skip


def _lines(title: "_StrPromise", *columns: str, **more: Any) -> Chart:
    return Chart(title, partial(line.figure, columns=columns, **more))


PAGES: Mapping[str, Page] = {
    "overview": Page(
        _("Overview"),
        _("The days at a glance, each beside the day, the week and the month before."),
        "dashboard",
        (
            _lines(_("Opens, beside the week before"), "opens", before="week_before"),
            _lines(_("Visitors, beside the week before"), "visitors", "new_visitors", before="week_before"),
            _lines(_("Mean time (s)"), "mean_time_per_session_s", "mean_time_per_visitor_s"),
        ),
    ),
    "activity": Page(
        _("Active users"),
        _("How many people came on a day, in a week and in a month."),
        "group",
        (
            _lines(_("Daily active, and active in the 7 and 30 days before"), "dau", "wau_rolling", "mau_rolling"),
            _lines(_("Events and sessions"), "events", "sessions"),
        ),
    ),
    "trends": Page(
        _("Trends"),
        _("Events over time, by a breakdown or beside the range before."),
        "show_chart",
        (
            _lines(_("Events"), "events", before="previous", split="value"),
            _lines(_("Subjects"), "subjects", before="previous", split="value"),
        ),
        options=("interval", "event", "property", "breakdown", "compare"),
        breakdowns=(*FIELDS, PROPERTY),
    ),
    "stickiness": Page(
        _("Stickiness"),
        _("Which part of a month's people comes on a day, and on how many days they come."),
        "favorite",
        (
            _lines(_("Daily active of those active in 30 days"), "stickiness"),
            Chart(
                _("Subjects by number of active days"),
                partial(bars.figure, table="active_days", label=("days",), column="subjects"),
            ),
        ),
    ),
    "lifecycle": Page(
        _("Lifecycle"),
        _("New, returning, resurrected and dormant people."),
        "autorenew",
        (
            Chart(
                _("People by what brought them; below the line who stayed away"),
                partial(stacked.figure, columns=("new", "returning", "resurrected", "unknown"), below=("dormant",)),
            ),
        ),
        options=("interval",),
    ),
    "retention": Page(
        _("Cohort retention"),
        _("Who came back, by when they began."),
        "event_repeat",
        (Chart(_("Part of the cohort that came back, by period"), triangle.figure, wide=True),),
        options=("interval", "cohort", "cohort_event", "return_event", "mode", "clock", "periods"),
    ),
    "funnel": Page(
        _("Funnel"),
        _("How many get from step to step, and where they are lost."),
        "filter_alt",
        (Chart(_("Subjects by step, and their part of the first"), funnel.figure),),
        options=("steps", "window_s", "mode", "exclusions", "breakdown", "attribution"),
        breakdowns=tuple(funnels.TOUCHED),
    ),
    "conversion": Page(
        _("Conversion"),
        _("Of those exposed, who reached the goal."),
        "ads_click",
        (
            _lines(_("Conversion"), "conversion", split="value"),
            _lines(_("Exposed and converted"), "exposed", "converted", split="value"),
        ),
        options=("interval", "goal", "exposure", "breakdown"),
        breakdowns=tuple(conversion.FIELDS),
    ),
    "intervals": Page(
        _("Intervals"),
        _("How long it takes from one event to another."),
        "timer",
        (
            Chart(
                _("Median time (s), between p25 and p75, and p10 and p90"),
                partial(band.figure, middle="median_s", bands=(("p10_s", "p90_s"), ("p25_s", "p75_s"))),
            ),
        ),
        options=("interval", "start_event", "end_event", "bound_s", "mode"),
    ),
    "frequency": Page(
        _("Frequency"),
        _("People by how often they come, or by how much."),
        "equalizer",
        (Chart(_("Subjects"), partial(bars.figure, label=("value",), column="subjects")),),
        options=("by", "event", "property"),
    ),
    "paths": Page(
        _("Paths"),
        _("Where people go, from page to page."),
        "route",
        (Chart(_("Paths, as wide as the sessions that take them"), sankey.figure, wide=True),),
        options=("sequence", "start", "end", "steps"),
    ),
    "pages": Page(
        _("Page heat"),
        _("Views, exits, dwell and load time of each page."),
        "local_fire_department",
        (
            Chart(
                _("Pages: the area is their views, the darker the higher their exit rate"),
                partial(heat.figure, label="page", area="views", shade="exit_rate"),
            ),
            Chart(
                _("Interactions by element"),
                partial(bars.figure, table="elements", label=("page", "element"), column="interactions"),
            ),
        ),
        heat=("views", "subjects", "entries", "exits", "exit_rate", "bounce_rate", "interactions"),
    ),
    "sessions": Page(
        _("Sessions"),
        _("Visits, how deep and how long they are."),
        "web_traffic",
        (
            _lines(_("Sessions"), "sessions"),
            _lines(_("Bounce rate"), "bounce_rate"),
            _lines(_("Mean duration (s)"), "mean_duration_s"),
        ),
        options=("interval",),
    ),
    "distributions": Page(
        _("Distributions"),
        _("Sessions by where they came from, on what, how long and how deep."),
        "donut_small",
        tuple(
            Chart(title, partial(bars.figure, label=("value",), column="sessions", where={"dimension": name}))
            for name, title in DIMENSIONS.items()
        ),
    ),
    "shares": Page(
        _("Shares"),
        _("What was shared, and who came of it."),
        "share",
        (
            _lines(_("Shares and who made them"), "shares", "sharers"),
            _lines(_("What came of shares"), "sessions_from_share", "new_from_share"),
        ),
        options=("interval",),
    ),
    "anomalies": Page(
        _("Anomalies"),
        _("Days that lie beside what the weeks before led to expect."),
        "crisis_alert",
        (
            Chart(
                _("What came, and what was expected"),
                partial(
                    band.figure,
                    middle="expected",
                    bands=(("expected_low", "expected_high"),),
                    actual="value",
                    flagged="anomalous",
                ),
            ),
        ),
        options=("measure", "event", "scale"),
    ),
    "contribution": Page(
        _("Contribution"),
        _("What a change since the days before is made of, value by value."),
        "waterfall_chart",
        (
            Chart(
                _("From the earlier period to the later"),
                partial(
                    waterfall.figure, label="value", column="contribution", first="value_before", last="value_after",
                    residual="residual",
                ),
            ),
        ),
        options=("breakdown", "measure", "event", "property", "per", "compare_from"),
        breakdowns=(*FIELDS, PROPERTY),
        days=7,
        usual={"breakdown": "os"},
    ),
    "forecast": Page(
        _("Forecast"),
        _("The days to come, and how well the same would have done before."),
        "trending_up",
        (
            Chart(
                _("The days to come, with the 95 % interval, beside repeating the last week"),
                partial(band.figure, middle="forecast", bands=(("low", "high"),), actual="naive"),
            ),
            _lines(_("The days it was made of"), "value", table="history"),
            Chart(
                _("Mean error on days that have come, by how far ahead"),
                partial(bars.figure, table="backtest", label=("days_ahead",), column="mae"),
            ),
        ),
        options=("measure", "event", "horizon"),
        days=182,
    ),
    "quality": Page(
        _("Data quality"),
        _("What became of the events that were sent."),
        "fact_check",
        (
            Chart(
                _("Events sent"), partial(bars.totals, names=("accepted", "late", "duplicate", "refused"))
            ),
            Chart(_("Refused, by reason"), partial(bars.totals, names=_REFUSED)),
            _lines(_("Accepted, by event"), "accepted", split="event"),
        ),
        options=("interval",),
        days=7,
    ),
}  # fmt: skip
"""By metric, in the order of the list."""
