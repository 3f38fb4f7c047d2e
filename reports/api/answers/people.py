"""What reports about people answer: how many there were, who came back, how often and when."""

import datetime

import msgspec

from reports.api.answers.shared import Answered, Edges, StatusOfCell


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
