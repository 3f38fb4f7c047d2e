"""What a reports call is answered, by metric."""

import datetime
from typing import Literal

import msgspec

StatusOfCell = Literal["ok", "suppressed", "not_observable"]


class Privacy(msgspec.Struct):
    """How the figures were made safe: no cell rests on fewer than `k` subjects."""

    mode: str
    k: int
    suppressed_cells: int


class Answered(msgspec.Struct, kw_only=True):
    """What every answer tells beside its tables. `revision` grows when a figure told before changes."""

    definition: str
    zone: str
    as_of: datetime.datetime
    revision: int
    privacy: Privacy
    withdrawn_subjects: int | None
    status: dict[str, StatusOfCell]


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


class ActivityAnswered(Answered, kw_only=True):
    """Activity by day, and of the whole weeks and months touched."""

    data: list[Date]
    weeks: list[Week]
    months: list[Month]


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


class SessionsAnswered(Answered, kw_only=True):
    """Sessions over all intervals asked, and of each in `data`."""

    data: list[Visits]
    sessions: int | None
    bounce_rate: float | None
    mean_depth: float | None
    mean_duration_s: float | None


class CohortAnswered(msgspec.Struct):
    """A cohort, named by its first day. `values` and their `status` from period 0 on."""

    cohort: datetime.date
    size: int | None
    size_status: StatusOfCell
    values: list[int | None]
    status: list[StatusOfCell]
    closed: bool


class RetentionAnswered(Answered, kw_only=True):
    """Retention by cohort. Who withdrew is missing, so it is biased upwards."""

    data: list[CohortAnswered]


Edges = tuple[float, float | None]
"""Of the bin that a quantile lies in; null: open."""


class Page(msgspec.Struct):
    """A page; `page` null: views that name none; `page_other`: all pages with fewer than k subjects, together.

    `*_known`: of how many of the views the dwell is known, from the client or by the gap to the next view.
    """

    page: str | None
    page_other: bool
    views: int | None
    subjects: int | None
    share: float | None
    entries: int | None
    exits: int | None
    exit_rate: float | None
    bounce_rate: float | None
    dwell_client_known: int | None
    dwell_client_mean_s: float | None
    dwell_client_median_s: float | None
    dwell_client_median_s_bin: Edges | None
    dwell_client_p90_s: float | None
    dwell_client_p90_s_bin: Edges | None
    dwell_gap_known: int | None
    dwell_gap_mean_s: float | None
    dwell_gap_median_s: float | None
    dwell_gap_median_s_bin: Edges | None
    dwell_gap_p90_s: float | None
    dwell_gap_p90_s_bin: Edges | None
    scroll_depth_mean: float | None
    interactions_per_view: float | None
    load_p50_ms: float | None
    load_p50_ms_bin: Edges | None
    load_p90_ms: float | None
    load_p90_ms_bin: Edges | None
    closed: bool
    status: dict[str, StatusOfCell]


class Element(msgspec.Struct):
    """Taps of an element of a page; `element` null: interactions that tapped none."""

    page: str | None
    page_other: bool
    element: str | None
    element_other: bool
    interactions: int | None
    subjects: int | None
    closed: bool
    status: dict[str, StatusOfCell]


class LoadBand(msgspec.Struct):
    """Views of a page that took so many milliseconds to load; `band` null: not known."""

    page: str | None
    page_other: bool
    band: str | None
    band_other: bool
    views: int | None
    exit_rate: float | None
    closed: bool
    status: dict[str, StatusOfCell]


class PagesAnswered(Answered, kw_only=True):
    """Page heat: a line a page, and below it its elements and load-time bands; views and subjects of all pages."""

    data: list[Page]
    elements: list[Element]
    load_bands: list[LoadBand]
    views: int | None
    subjects: int | None


class DimensionValue(msgspec.Struct):
    """Sessions of a value of a dimension: null where they give none; `value_other`: those with fewer than k subjects."""

    dimension: Literal["scene", "os", "app_version", "dwell_band", "depth_band"]
    value: str | None
    value_other: bool
    sessions: int | None
    subjects: int | None
    closed: bool
    status: dict[str, StatusOfCell]


class DistributionsAnswered(Answered, kw_only=True):
    """Every session lies in one value of each dimension; sessions and subjects of all beside them."""

    data: list[DimensionValue]
    sessions: int | None
    subjects: int | None


class Trend(msgspec.Struct):
    """An interval (`date`, `week`, its Monday, or `month`, its first day), and a value where a breakdown was asked.

    `known`: events that have the property, over which its sum, mean and p90 are; these where a property was asked.
    """

    events: int | None
    subjects: int | None
    events_per_subject: float | None
    closed: bool
    status: dict[str, StatusOfCell]
    known: int | None = None
    sum: float | None = None
    mean: float | None = None
    p90: float | None = None
    p90_bin: Edges | None = None
    date: datetime.date | None = None
    week: datetime.date | None = None
    month: datetime.date | None = None
    value: str | None = None
    value_other: bool | None = None


class TrendsAnswered(Answered, kw_only=True):
    """The intervals asked, and in `previous`, where it was asked for, as many before."""

    data: list[Trend]
    previous: list[Trend] | None = None


class FunnelStep(msgspec.Struct, kw_only=True):
    """A step, from 1; of a value where a breakdown was asked. `event` null: an unordered funnel's n-th step is any.

    `median_s`, `p90_s`: seconds from the first step to this.
    """

    step: int
    event: str | None
    subjects: int | None
    conversion_from_first: float | None
    conversion_from_previous: float | None
    median_s: float | None
    median_s_bin: Edges | None
    p90_s: float | None
    p90_s_bin: Edges | None
    closed: bool
    status: dict[str, StatusOfCell]
    value: str | None = None
    value_other: bool | None = None


class FunnelAnswered(Answered, kw_only=True):
    """Subjects by how far their furthest attempt got. Attempts whose window is still open are apart."""

    data: list[FunnelStep]
    open_attempts: int | None
    open_subjects: int | None


class States(msgspec.Struct):
    """Subjects of a date, a week (its Monday) or a month (its first day) by what brought them. `dormant`: who stayed away."""

    new: int | None
    returning: int | None
    resurrected: int | None
    unknown: int | None
    dormant: int | None
    closed: bool
    status: dict[str, StatusOfCell]
    date: datetime.date | None = None
    week: datetime.date | None = None
    month: datetime.date | None = None


class LifecycleAnswered(Answered, kw_only=True):
    """Lifecycle by interval."""

    data: list[States]


class Sticky(msgspec.Struct):
    """`stickiness`: dau / mau_rolling."""

    date: datetime.date
    dau: int | None
    mau_rolling: int | None
    stickiness: float | None
    closed: bool
    status: dict[str, StatusOfCell]


class ActiveDays(msgspec.Struct):
    """Subjects who came on so many days of the range; `days_other`: numbers of days of few."""

    days: str | None
    days_other: bool
    subjects: int | None
    closed: bool
    status: dict[str, StatusOfCell]


class StickinessAnswered(Answered, kw_only=True):
    """Stickiness by day, and subjects by their number of active days; `subjects`: all who came."""

    data: list[Sticky]
    active_days: list[ActiveDays]
    subjects: int | None


class Converted(msgspec.Struct):
    """Of those exposed who reached the goal, in a date, week (its Monday) or month (its first day); of a value where asked."""

    exposed: int | None
    converted: int | None
    conversion: float | None
    exposures: int | None
    goals: int | None
    goals_per_exposure: float | None
    closed: bool
    status: dict[str, StatusOfCell]
    date: datetime.date | None = None
    week: datetime.date | None = None
    month: datetime.date | None = None
    value: str | None = None
    value_other: bool | None = None


class ConversionAnswered(Answered, kw_only=True):
    """Conversion by interval, always with those exposed."""

    data: list[Converted]


class Glance(msgspec.Struct):
    """A date; in the tables before, the figures are those of the date `compared`."""

    date: datetime.date
    opens: int | None
    visitors: int | None
    opens_per_visitor: float | None
    views: int | None
    new_visitors: int | None
    mean_time_per_session_s: float | None
    mean_time_per_visitor_s: float | None
    mean_depth: float | None
    shares: int | None
    sharers: int | None
    closed: bool
    status: dict[str, StatusOfCell]
    compared: datetime.date | None = None


class OverviewAnswered(Answered, kw_only=True):
    """The days at a glance, each beside the day, the week and the month before; and all who ever came, until the last."""

    data: list[Glance]
    day_before: list[Glance]
    week_before: list[Glance]
    month_before: list[Glance]
    cumulative_visitors: int | None


class Shared(msgspec.Struct):
    """Shares of a date, week (its Monday) or month (its first day), and sessions and new subjects that came from any share."""

    shares: int | None
    sharers: int | None
    sessions_from_share: int | None
    new_from_share: int | None
    returns_per_share: float | None
    closed: bool
    status: dict[str, StatusOfCell]
    date: datetime.date | None = None
    week: datetime.date | None = None
    month: datetime.date | None = None


class SharesAnswered(Answered, kw_only=True):
    """Shares by interval."""

    data: list[Shared]


class Between(msgspec.Struct):
    """From start to end events, of starts in a date, a week (its Monday) or a month (its first day)."""

    starts: int | None
    count: int | None
    subjects: int | None
    p10_s: float | None
    p10_s_bin: Edges | None
    p25_s: float | None
    p25_s_bin: Edges | None
    median_s: float | None
    median_s_bin: Edges | None
    p75_s: float | None
    p75_s_bin: Edges | None
    p90_s: float | None
    p90_s_bin: Edges | None
    open_starts: int | None
    closed: bool
    status: dict[str, StatusOfCell]
    date: datetime.date | None = None
    week: datetime.date | None = None
    month: datetime.date | None = None


class IntervalsAnswered(Answered, kw_only=True):
    """Times between events, by interval."""

    data: list[Between]


class Frequent(msgspec.Struct):
    """Subjects of a band, or with a number of days."""

    value: str | None
    value_other: bool
    subjects: int | None
    closed: bool
    status: dict[str, StatusOfCell]


class FrequencyAnswered(Answered, kw_only=True):
    """Subjects by how often or how much; and all of them."""

    data: list[Frequent]
    subjects: int | None


class PathNode(msgspec.Struct):
    """`name` null: a view that names no page; `name_other`: the nodes to which few went, together."""

    step: int
    name: str | None
    name_other: bool
    sessions: int | None
    closed: bool
    status: dict[str, StatusOfCell]


class PathLink(msgspec.Struct):
    """From `source` to `target` in time; `step`: that of the source, in paths backward of the target."""

    step: int
    source: str | None
    source_other: bool
    target: str | None
    target_other: bool
    transitions: int | None
    subjects: int | None
    closed: bool
    status: dict[str, StatusOfCell]


class DropOff(msgspec.Struct):
    """Paths that end at a node, in paths backward begin there."""

    step: int
    name: str | None
    name_other: bool
    sessions: int | None
    subjects: int | None
    closed: bool
    status: dict[str, StatusOfCell]


class PathTables(msgspec.Struct):
    """Nodes by step, the links between them, and where paths stop before the last step."""

    nodes: list[PathNode]
    links: list[PathLink]
    drop_offs: list[DropOff]


class PathsAnswered(Answered, kw_only=True):
    """Paths within sessions."""

    data: PathTables


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
    """Of an event type in a date, week or month. `event` null: no type of the catalogue, or not to be read."""

    event: str | None
    closed: bool
    date: datetime.date | None = None
    week: datetime.date | None = None
    month: datetime.date | None = None


class QualityAnswered(Answers, kw_only=True):
    """What became of the events over all intervals and types, and of each in `data`; and what every answer tells."""

    definition: str
    zone: str
    as_of: datetime.datetime
    revision: int
    privacy: Privacy
    withdrawn_subjects: int | None
    data: list[AnswersOfType]


ANSWERED: dict[str, type[msgspec.Struct]] = {
    "activity": ActivityAnswered,
    "conversion": ConversionAnswered,
    "distributions": DistributionsAnswered,
    "frequency": FrequencyAnswered,
    "funnel": FunnelAnswered,
    "intervals": IntervalsAnswered,
    "lifecycle": LifecycleAnswered,
    "overview": OverviewAnswered,
    "pages": PagesAnswered,
    "paths": PathsAnswered,
    "quality": QualityAnswered,
    "retention": RetentionAnswered,
    "sessions": SessionsAnswered,
    "shares": SharesAnswered,
    "stickiness": StickinessAnswered,
    "trends": TrendsAnswered,
}
"""By metric; a test holds them and the registry together."""
