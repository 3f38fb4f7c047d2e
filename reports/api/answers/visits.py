"""What reports about visits answer: sessions, pages, ways and where they came from."""

import datetime
from typing import Literal

import msgspec

from reports.api.answers.shared import Answered, Edges, StatusOfCell


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
