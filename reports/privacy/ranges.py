"""Where ranges that are told as a whole may begin and end (docs/adr/0022-ranges.md).

Ranges with an end in common, or several that overlap, leave what lies between any two of their ends. So they may end only after
days between any two of which k subjects were there, or nobody. These days are found from the beginning of each month on, in the
same way for every question: a day is one when k have come since the last; so is one after which nobody came until the next, and so
is a month's last, where k were there in the month. Others are only if k came in the rest of the month, too, or nobody yet. The end of a range that is not closed is
not looked at.
"""

from collections.abc import Callable, Mapping
from datetime import date, datetime, timedelta
from functools import cache

from pyroaring import BitMap64

from reports.privacy.cells import closed
from reports.privacy.figures import Month, Whole

DAY = timedelta(days=1)
MONTHS = 13
"""So many in a row without anybody are the beginning: longer ago is nobody's figure."""
OF_ANY_REPORT = {"withdrawn_subjects"}
"""Totals that every report tells, and all tell the same."""


def withheld(whole: Whole | None, k: int, as_of: datetime) -> bool:
    """Whether nothing may be told of the ranges."""
    if whole is None or k == 1:
        return False
    month = cache(whole.month)
    return not all(
        period.begins > as_of
        or (may_end(first - DAY, month, k, as_of) and (not closed(period, as_of) or may_end(last, month, k, as_of)))
        for first, last, period in whole.ranges
    )


def may_end(day: date, month: Callable[[date], Month], k: int, as_of: datetime, months: int = MONTHS) -> bool:
    """Whether ranges may end with the day, or begin after it."""
    first = day.replace(day=1)
    period, came = month(first)
    if any(there <= day for there in came):
        return _may_end(day, came, k, over=closed(period, as_of))
    return months == 0 or may_end(first - DAY, month, k, as_of, months - 1)


def _may_end(day: date, came: Mapping[date, BitMap64], k: int, *, over: bool) -> bool:
    """Of a month until whose day somebody came."""
    left = BitMap64().union(*(some for there, some in came.items() if there > day))
    if over and not left:
        return len(BitMap64().union(*came.values())) >= k
    since = BitMap64()
    for there in sorted(there for there in came if there <= day):
        since |= came[there]
        if len(since) >= k:
            since = BitMap64()
    return not since and (not left or len(left) >= k)
