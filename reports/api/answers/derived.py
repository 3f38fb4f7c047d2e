"""What reports answer that are worked out of told figures alone: judged days, days to come, and what a change is made of."""

import datetime
from typing import Literal

import msgspec

from reports.api.answers.shared import Answered, StatusOfCell
from reports.metrics.holidays import Kind


class JudgedDay(msgspec.Struct):
    """`anomalous`: the value lies outside `expected_low` to `expected_high`. `reason`: why a day is not judged; null: it is.

    `filled_days`: of the days before, those that are not told. `holiday`: also the one that an adjusted working day is for.
    """

    date: datetime.date
    calendar: Kind
    holiday: str | None
    filled_days: int
    reason: Literal["suppressed", "not_over", "short_history", "gaps", "no_fit"] | None
    value: int | None
    expected: float | None
    expected_low: float | None
    expected_high: float | None
    score: float | None
    anomalous: bool | None
    closed: bool
    status: dict[str, StatusOfCell]


class AnomaliesAnswered(Answered, kw_only=True):
    """A series by day, each day beside what the days before it led to expect."""

    data: list[JudgedDay]


class ComingDay(msgspec.Struct):
    """`low` to `high`: the 95 % interval. `naive`: the last known value of the same weekday."""

    date: datetime.date
    days_ahead: int
    calendar: Kind
    holiday: str | None
    forecast: float | None
    low: float | None
    high: float | None
    naive: float | None
    closed: bool
    status: dict[str, StatusOfCell]


class KnownDay(msgspec.Struct):
    """A day of the history; `filled`: it is not told, and the value of a week before stands for it."""

    date: datetime.date
    filled: bool
    value: int | None
    closed: bool
    status: dict[str, StatusOfCell]


class ErrorsAhead(msgspec.Struct):
    """Of forecasts so many days ahead, of days that have come: how many, and their mean absolute error.

    `naive_mae`: that of repeating the week before. `skill`: 1 - mae / naive_mae. `coverage`: the share of days within the interval.
    """

    days_ahead: int
    scored: int
    mae: float | None
    naive_mae: float | None
    skill: float | None
    coverage: float | None
    closed: bool
    status: dict[str, StatusOfCell]


class ForecastAnswered(Answered, kw_only=True):
    """The days to come, what they are made of, and how well the same would have done on its own past: over all, and by days.

    `mase`: mae / mean absolute change of a weekday in a week. `model`: `seasonal_naive` where the fit did not come out;
    `fallbacks`: at how many of the backtest's `origins`. `note`: in words, whether to trust it.
    """

    data: list[ComingDay]
    history: list[KnownDay]
    backtest: list[ErrorsAhead]
    model: Literal["ets", "seasonal_naive"]
    better_than_naive: bool
    note: str
    scored: int
    mae: float | None
    naive_mae: float | None
    skill: float | None
    coverage: float | None
    mase: float | None
    origins: int
    fallbacks: int
    history_days: int
    filled_days: int


class Contributed(msgspec.Struct):
    """A value, null where the events say none; `value_other`: those that may not be told in one of the periods, together.

    `value_…` of what adds up and of subjects; `numerator_…`, `denominator_…` and what follows of a mean or a ratio.
    """

    value: str | None
    value_other: bool
    contribution: float | None
    share_of_change: float | None
    closed: bool
    status: dict[str, StatusOfCell]
    value_before: float | None = None
    value_after: float | None = None
    numerator_before: float | None = None
    denominator_before: float | None = None
    numerator_after: float | None = None
    denominator_after: float | None = None
    rate_before: float | None = None
    rate_after: float | None = None
    weight_before: float | None = None
    weight_after: float | None = None
    rate_effect: float | None = None
    mix_effect: float | None = None


class ContributionAnswered(Answered, kw_only=True):
    """What a change is made of: contributions and `residual` are `change`."""

    data: list[Contributed]
    value_before: float | None
    value_after: float | None
    change: float | None
    residual: float | None
    compare_from: datetime.date
    compare_to: datetime.date
