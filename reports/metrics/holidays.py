"""What the PRC's calendar says of a date: a holiday, or a weekend's day that is worked for one.

From the dependency `chinesecalendar`, as deadlines are. The State Council publishes a year's calendar late in the year before;
of a year without one nothing is said. Dates are those of the mini-program's zone, whichever that is.
"""

from datetime import date
from typing import Literal, NamedTuple

import chinese_calendar

Kind = Literal["working_day", "adjusted_working_day", "weekend", "holiday", "unpublished"]


class Marked(NamedTuple):
    """`holiday`: its English name, also of the one that an adjusted working day is worked for."""

    calendar: Kind
    holiday: str | None


def marked(day: date) -> Marked:
    try:
        off, name = chinese_calendar.get_holiday_detail(day)
    except NotImplementedError:
        return Marked("unpublished", None)
    if off:
        return Marked("holiday" if name else "weekend", name)
    return Marked("adjusted_working_day" if name else "working_day", name)
