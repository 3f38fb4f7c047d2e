"""Rolling-origin backtest of a forecast beside the seasonal-naive one: on numbers alone, from whatever fits.

From each of several days of the past (an *origin*) both forecast the days after it, knowing nothing but the days up to it, and
are compared with what came. Both are judged on the same days. *Seasonal-naive*: each day is as the last known one of its
weekday.
"""

import math
from collections.abc import Callable, Sequence
from statistics import fmean
from typing import NamedTuple

from reports.metrics.seasons import SEASON

ORIGINS = 12
LEAST_ORIGINS = 4
APART = 5
"""Days from an origin to the next: no multiple of a week, so that each weekday is forecast from each distance."""


class Foreseen(NamedTuple):
    """A day's forecast, as counts, and its interval."""

    mean: float
    low: float
    high: float


Forecast = Callable[[Sequence[float], int], tuple[list[Foreseen], bool]]
"""(history, horizon) -> the days that follow it, and whether the fit that they are of came out."""


class Compared(NamedTuple):
    """A day of the past as it was foreseen `ahead` days before, by both, and what came."""

    ahead: int
    foreseen: Foreseen
    naive: float
    came: float


class Errors(NamedTuple):
    """Of some days. `mae`, `naive_mae`: mean absolute error; `skill`: 1 - mae / naive_mae, None where the naive one made
    no error; `coverage`: the share of days that came within the interval. None of no day."""

    scored: int
    mae: float | None
    naive_mae: float | None
    skill: float | None
    coverage: float | None


class Backtest(NamedTuple):
    """`fallbacks`: origins whose fit did not come out."""

    compared: Sequence[Compared]
    origins: int
    fallbacks: int


def naive(history: Sequence[float], horizon: int) -> list[float]:
    """Of a week at least."""
    return [history[len(history) - SEASON + n % SEASON] for n in range(horizon)]


def origins(length: int, horizon: int, least: int) -> list[int]:
    """How many days are known at each origin, the latest first: as many as leave `least` known and `horizon` to come."""
    return list(range(length - horizon, least - 1, -APART))[:ORIGINS]


def needed(horizon: int, least: int) -> int:
    """Days of history for LEAST_ORIGINS."""
    return least + horizon + (LEAST_ORIGINS - 1) * APART


def backtest(history: Sequence[float], told: Sequence[bool], horizon: int, least: int, forecast: Forecast) -> Backtest:
    """Days that are not `told` are not compared."""
    compared, fallbacks = [], 0
    known = origins(len(history), horizon, least)
    for length in known:
        foreseen, came_out = forecast(history[:length], horizon)
        fallbacks += not came_out
        repeated = naive(history[:length], horizon)
        compared += [
            Compared(n + 1, foreseen[n], repeated[n], history[length + n]) for n in range(horizon) if told[length + n]
        ]
    return Backtest(compared, len(known), fallbacks)


def errors(compared: Sequence[Compared]) -> Errors:
    if not compared:
        return Errors(0, None, None, None, None)
    mae = fmean(abs(one.foreseen.mean - one.came) for one in compared)
    naive_mae = fmean(abs(one.naive - one.came) for one in compared)
    within = fmean(one.foreseen.low <= one.came <= one.foreseen.high for one in compared)
    return Errors(len(compared), mae, naive_mae, 1 - mae / naive_mae if naive_mae else None, within)


def weekly_change(history: Sequence[float], told: Sequence[bool]) -> float | None:
    """The mean absolute difference of days a week apart, both told: what MASE is in units of."""
    pairs = [abs(history[n] - history[n - SEASON]) for n in range(SEASON, len(history)) if told[n] and told[n - SEASON]]
    return fmean(pairs) if pairs else None


def weekly_deviation(history: Sequence[float]) -> float:
    """The root of the mean square of the same differences."""
    return math.sqrt(fmean((history[n] - history[n - SEASON]) ** 2 for n in range(SEASON, len(history))))
