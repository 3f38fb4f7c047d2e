"""forecast: a daily series continued, with an interval, and how well the same would have done on its own past.

Asked: `from`, `to` (the history's days), `measure` and `event` (reports.metrics.series), `horizon`: 1 to 28 days ahead. The history
ends with the last *closed* day of the range, because figures of later ones may still grow; the forecast begins the day after.
`data`, a row a day ahead:
- `forecast`: its median; `low` to `high`: in 95 of 100 such days the value should lie there. By exponential smoothing with
  level, damped trend and weekly season on the square root's scale; the interval is the model's, and no narrower than that of a
  count (reports.metrics.seasons). Where the fit does not come out (`model`: `seasonal_naive`) it is the naive one's.
- `naive`: the last known value of the same weekday. `calendar`, `holiday`: reports.metrics.holidays; they are marked, and the
  model knows nothing of them.
`history`: the days it is made of, as other reports tell them, and whether each is `filled` (reports.metrics.series).
`backtest`, by `days_ahead`, and over all of them beside: both forecasts made from 4 to 12 days of the past, 5 days apart,
each knowing only what came before (35 days at least), compared on the same told days: `mae`, `naive_mae`, `skill`: 1 - mae /
naive_mae; `coverage` of the interval; `scored`: on how many days. `mase`: mae / the mean change of a weekday from a week to
the next. `better_than_naive`: skill above 0; `note` says it in words. `origins`, and of them `fallbacks`: those whose fit did
not come out.

Raises, after the gate, Invalid: `history_too_short`, `history_suppressed` (more than a tenth of it is not told),
`history_constant`.

For the gate only the history's values are figures, as in `activity` and `trends`. All else is worked out of those that are told,
so whoever asks these two could do it too.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from typing import Any

from django.utils.translation import gettext as _

from consent.errors import invalid
from reports.metrics.backtest import (
    Backtest,
    Errors,
    Foreseen,
    backtest,
    errors,
    naive,
    needed,
    weekly_change,
    weekly_deviation,
)
from reports.metrics.calendar import DAY
from reports.metrics.holidays import marked
from reports.metrics.registry import Question, metric
from reports.metrics.seasons import SEASON, Ahead, floor_of, scaled, smoothed, unscaled
from reports.metrics.series import LEAST, Past, Series, daily, past
from reports.privacy.cells import Cell, Status
from reports.privacy.dimensions import ReleasedRow
from reports.privacy.figures import Figures
from reports.privacy.threshold import Released

MAX_HORIZON = 28
NORMAL_95 = 1.96

DEFINITION = (
    "Local days of the zone by corrected_at; the history ends with the last closed day of the range. forecast: the median, by "
    "exponential smoothing (level, damped trend, weekly season) of the square roots; low, high: its 95 % interval, of a "
    "count's at least. naive: the last known value of the same weekday. backtest: both forecasts from 4 to 12 earlier days, 5 "
    "days apart, each fitted to the days before alone (35 at least), on the same days. mae: mean absolute error; skill: 1 - "
    "mae / naive_mae; mase: mae / mean absolute change of a weekday in a week; coverage: share of days within the interval. "
    "better_than_naive false: repeat the last week instead. model seasonal_naive: the fit did not come out, the forecast "
    "is the naive one; fallbacks: at how many of the origins. Days that are not told are filled with the value of a week before and not "
    "scored. calendar, holiday: the PRC's, marked and not modelled. The history is of those whose consent and data stand at "
    "as_of; who will withdraw is not foreseen."
)


@dataclass(frozen=True, slots=True)
class Forecast:
    """What is asked beside dates."""

    series: Series = field(default_factory=Series)
    horizon: int = 7

    def kept_as(self) -> Series:
        """reports.frozen.about"""
        return self.series


def derive(question: Question, released: Released) -> Released:
    horizon = _asked(question).horizon
    rows = [row for row in released.tables["data"] if row.closed]
    before = past([row.cells["value"] for row in rows])
    _refuse(before, rows, horizon)
    foreseen, came_out = foresee(before.values, horizon)
    tested = backtest(before.values, before.told, horizon, LEAST, foresee)
    used = rows[len(rows) - len(before.values) :]
    last = date.fromisoformat(used[-1].keys["date"])
    tables = {
        "data": [_ahead(last, n, one, before) for n, one in enumerate(foreseen, start=1)],
        "history": [_known(row, is_told) for row, is_told in zip(used, before.told, strict=True)],
        "backtest": _by_distance(tested, horizon),
    }
    totals = {**released.totals, **_overall(before, tested), "model": _told("ets" if came_out else "seasonal_naive")}
    return Released.derived(released.k, tables, totals)


@metric("forecast", definition=DEFINITION, derive=derive)
def forecast(question: Question) -> Figures:
    """Under the tenant's transaction. Raises Invalid `unknown_event`, `event_unavailable`."""
    return Figures({"data": daily(question, _asked(question).series, question.first, question.last)})


def _asked(question: Question) -> Forecast:
    return question.options if isinstance(question.options, Forecast) else Forecast()


def _refuse(before: Past, rows: Sequence[ReleasedRow], horizon: int) -> None:
    days, least = len(before.values), needed(horizon, LEAST)
    hidden = sum(row.cells["value"].status is Status.SUPPRESSED for row in rows)
    if before.full_of_gaps or days < least <= days + hidden:
        detail = f"{hidden} of {len(rows)} days are not told, for too few people; ask for another measure or event"
        raise invalid("history_suppressed", detail, "/measure")
    if days < least:
        raise invalid(
            "history_too_short",
            f"{horizon} days ahead take {least} closed days of history, from the first that is not 0; there are {days}: ask from "
            "an earlier date, or fewer days ahead",
            "/from",
        )
    if len(set(before.values)) == 1:
        detail = "every day has the same value, so there is nothing to fit; expect it again"
        raise invalid("history_constant", detail, "/measure")


def foresee(history: Sequence[float], horizon: int) -> tuple[list[Foreseen], bool]:
    """The days that follow, and whether they are the model's."""
    roots = [scaled(value, "sqrt") for value in history]
    fitted = smoothed(roots, horizon)
    ahead = fitted if fitted is not None else _repeated(roots, horizon)
    return [_foreseen(one) for one in ahead], fitted is not None


def _repeated(roots: Sequence[float], horizon: int) -> list[Ahead]:
    """A weekday's steps from week to week add up."""
    deviation = weekly_deviation(roots)
    return [Ahead(mean, deviation * math.sqrt(n // SEASON + 1)) for n, mean in enumerate(naive(roots, horizon))]


def _foreseen(ahead: Ahead) -> Foreseen:
    margin = NORMAL_95 * max(ahead.deviation, floor_of(ahead.mean, "sqrt"))
    return Foreseen(*(unscaled(ahead.mean + by, "sqrt") for by in (0, -margin, margin)))


def _told(value: Any) -> Cell:
    return Cell(value, Status.OK if value is not None else Status.NOT_OBSERVABLE)


def _number(value: float | None) -> Cell:
    return _told(value if value is None else round(value, 3))


def _ahead(last: date, n: int, foreseen: Foreseen, before: Past) -> ReleasedRow:
    day = last + n * DAY
    cells = {
        "forecast": foreseen.mean,
        "low": foreseen.low,
        "high": foreseen.high,
        "naive": naive(before.values, n)[-1],
    }
    keys = {"date": day.isoformat(), "days_ahead": n, **marked(day)._asdict()}
    return ReleasedRow(keys, {name: _number(value) for name, value in cells.items()}, closed=False)


def _known(row: ReleasedRow, is_told: bool) -> ReleasedRow:
    return ReleasedRow({**row.keys, "filled": not is_told}, row.cells, row.closed)


def _cells(of: Errors) -> dict[str, Cell]:
    return {name: _number(value) for name, value in of._asdict().items()}


def _by_distance(tested: Backtest, horizon: int) -> list[ReleasedRow]:
    rows = []
    for n in range(1, horizon + 1):
        of = errors([one for one in tested.compared if one.ahead == n])
        rows.append(ReleasedRow({"days_ahead": n}, _cells(of), closed=True))
    return rows


def _overall(before: Past, tested: Backtest) -> Mapping[str, Cell]:
    of, unit = errors(tested.compared), weekly_change(before.values, before.told)
    better = of.skill is not None and of.skill > 0
    return {
        **_cells(of),
        "mase": _number(of.mae / unit if unit and of.mae is not None else None),
        "better_than_naive": _told(better),
        "note": _told(_better(of.skill) if better and of.skill else _no_better()),
        "origins": _told(tested.origins),
        "fallbacks": _told(tested.fallbacks),
        "history_days": _told(len(before.values)),
        "filled_days": _told(before.filled),
    }


def _better(skill: float) -> str:
    text = _("On its own past this forecast was wrong by %(percent)d %% less than repeating the week before.")
    return text % {"percent": round(100 * skill)}


def _no_better() -> str:
    return _(
        "On its own past this forecast was no better than repeating the week before: take the naive values instead."
    )
