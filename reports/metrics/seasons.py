"""Weekly seasons and trends of a daily series: the one place that uses statsmodels. docs/adr/0020-statsmodels.md.

All here works on released figures that were made even (`scaled`), as plain numbers; a fit that did not come out is None.
"""

import math
import warnings
from collections.abc import Sequence
from functools import cache
from statistics import median
from typing import Any, Literal, NamedTuple

Scale = Literal["sqrt", "log"]
SEASON = 7
LONG_SEASON, LONG_TREND = 35, 29
"""Days that STL smooths a weekday's place in the week, in weeks, and the trend over, in days: odd, and longer than its own
choice, which follows the noise: then one quiet day in thirty looks odd."""
DECOMPOSED = {
    "period": SEASON,
    "seasonal": LONG_SEASON,
    "trend": LONG_TREND,
    "seasonal_jump": 4,
    "trend_jump": 3,
    "robust": True,
}
ROBUST = {"inner_iter": 1, "outer_iter": 5}
"""As Cleveland and others (1990) advise: smoothed at every tenth of a span, five rounds of robustness. Ten times as quick."""
PARAMETERS = 11
"""What a fit takes from the days about: seven weekdays, and a trend with a slope at both ends."""
NORMAL = 1.4826
"""A normal distribution's standard deviation over its median absolute deviation."""
ITERATIONS = 200


class Ahead(NamedTuple):
    """What is expected of a day, and its standard deviation, on the scale."""

    mean: float
    deviation: float


def scaled(value: float, scale: Scale) -> float:
    """Counts spread as their root does: on the square root's scale alike at every size, on the logarithm's in proportion."""
    return math.sqrt(value) if scale == "sqrt" else math.log1p(value)


def unscaled(value: float, scale: Scale) -> float:
    """A count is not below zero."""
    return max(value, 0.0) ** 2 if scale == "sqrt" else math.expm1(max(value, 0.0))


def floor_of(mean: float, scale: Scale) -> float:
    """The root of the count that is expected, on the scale: counts that nobody influences are not steadier."""
    count = max(unscaled(mean, scale), 1.0)
    return 0.5 if scale == "sqrt" else math.sqrt(count) / (1 + count)


def next_day(history: Sequence[float], told: Sequence[bool], scale: Scale) -> Ahead | None:
    """By the trend of the last day and the season of a week before the next, of an STL fit that is robust to odd days.

    The deviation is that of the days about from what the same two said of them, without those that are not `told`: their
    median absolute one, as PARAMETERS make it too small, and the floor of the count at least.
    """
    library = _statsmodels()
    fitted = library.STL(library.array(history), **DECOMPOSED).fit(**ROBUST)
    trend, season = fitted.trend.tolist(), fitted.seasonal.tolist()
    said = [trend[n - 1] + season[n - SEASON] for n in range(SEASON, len(history))]
    off = [value - one for value, one, is_told in zip(history[SEASON:], said, told[SEASON:], strict=True) if is_told]
    middle = median(off)
    spread = NORMAL * median(abs(one - middle) for one in off)
    spread *= math.sqrt((len(history) + PARAMETERS) / (len(history) - PARAMETERS))
    mean = trend[-1] + season[-SEASON]
    found = Ahead(mean, max(spread, floor_of(mean, scale)))
    return found if all(map(math.isfinite, found)) else None


def smoothed(history: Sequence[float], horizon: int) -> list[Ahead] | None:
    """The days that follow, by exponential smoothing, ETS(A,Ad,A): level, damped trend and weekly season, all additive.

    None where the fit does not converge, or on no numbers.
    """
    library = _statsmodels()
    model = library.ETSModel(
        library.Series(history),
        error="add",
        trend="add",
        damped_trend=True,
        seasonal="add",
        seasonal_periods=SEASON,
        initialization_method="heuristic",
    )
    try:
        # Of numbers that are none, by the answer: not by what is printed of them.
        with library.errstate(all="ignore"):
            fitted = model.fit(disp=False, maxiter=ITERATIONS)
            told = fitted.get_prediction(start=len(history), end=len(history) + horizon - 1)
    except (ValueError, ArithmeticError, library.LinAlgError):
        return None
    if not fitted.mle_retvals["converged"]:
        return None
    means, variances = told.predicted_mean.tolist(), told.forecast_variance.tolist()
    if not all(map(math.isfinite, means + variances)):
        return None
    return [Ahead(mean, math.sqrt(max(variance, 0.0))) for mean, variance in zip(means, variances, strict=True)]


class _Library(NamedTuple):
    STL: Any
    ETSModel: Any
    Series: Any
    array: Any
    errstate: Any
    LinAlgError: type[Exception]


@cache
def _statsmodels() -> _Library:
    """Imported when the first series is fitted, for its weight: pandas, scipy and it take seconds and 150 MB of every process,
    and most processes fit none."""
    from numpy import array, errstate  # noqa: PLC0415
    from numpy.linalg import LinAlgError  # noqa: PLC0415
    from pandas import Series  # noqa: PLC0415
    from statsmodels.tools.sm_exceptions import ConvergenceWarning  # noqa: PLC0415
    from statsmodels.tsa.exponential_smoothing.ets import ETSModel  # noqa: PLC0415
    from statsmodels.tsa.seasonal import STL  # noqa: PLC0415

    # Whether a fit converged is looked at here; a warning would only be printed.
    warnings.simplefilter("ignore", ConvergenceWarning)
    return _Library(STL, ETSModel, Series, array, errstate, LinAlgError)
