"""The backtest once more, another way: by dates and dictionaries, from the words of the report's definition."""

from collections.abc import Sequence
from fractions import Fraction


def known_weekday(values: dict[int, int], last: int, day: int) -> int:
    """The newest value up to `last` that lies whole weeks before `day`."""
    return values[max(known for known in values if known <= last and (day - known) % 7 == 0)]


def naive_errors(values: Sequence[int], told: Sequence[bool], horizon: int) -> dict[tuple[int, int], int]:
    """(origin, the last day known; days ahead) -> absolute error."""
    by_day = dict(enumerate(values))
    found = {}
    last, number = len(values) - 1 - horizon, 0
    while last >= 34 and number < 12:
        for ahead in range(1, horizon + 1):
            if told[last + ahead]:
                found[last, ahead] = abs(by_day[last + ahead] - known_weekday(by_day, last, last + ahead))
        last, number = last - 5, number + 1
    return found


def mean(errors: dict[tuple[int, int], int], ahead: int | None) -> Fraction | None:
    """Over all, or so many days ahead."""
    some = [error for (_, days), error in errors.items() if ahead in (None, days)]
    return Fraction(sum(some), len(some)) if some else None
