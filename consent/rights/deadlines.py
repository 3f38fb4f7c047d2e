"""When a request must be answered: the earlier of a number of working days and a number of days (docs/law.md L15).

Working days are those of the PRC holiday calendar: holidays are none, and weekends worked for them are. The State Council
publishes a year's calendar late in the year before; in a year without one, weekends alone are left out.
"""

from dataclasses import dataclass
from datetime import date, datetime, timedelta
from zoneinfo import ZoneInfo

import chinese_calendar

SATURDAY = 5


@dataclass(frozen=True)
class Deadlines:
    """15 working days are the app rules', 30 days GB/T 35273's (both read second-hand)."""

    working_days: int = 15
    days: int = 30


def due_at(received_at: datetime, deadlines: Deadlines, *, zone: str) -> datetime:
    """The same time of day on the last day allowed, in the mini-program's zone; days count from the day after receipt."""
    local = received_at.astimezone(ZoneInfo(zone))
    day = _after(local, deadlines.working_days)
    return min(day, local + timedelta(days=deadlines.days)).astimezone(received_at.tzinfo)


def extended(due: datetime, working_days: int, *, zone: str) -> datetime:
    """A deadline put off by a number of working days, in the mini-program's zone."""
    return _after(due.astimezone(ZoneInfo(zone)), working_days).astimezone(due.tzinfo)


def published(day: date) -> bool:
    """Whether the calendar of the day's year is known."""
    try:
        chinese_calendar.is_workday(day)
    except NotImplementedError:
        return False
    return True


def is_estimate(due: datetime, *, zone: str) -> bool:
    """Whether a deadline ends in a year whose calendar is not known: its holidays may put it off, its worked weekends
    bring it forward."""
    return not published(due.astimezone(ZoneInfo(zone)).date())


def _after(day: datetime, working_days: int) -> datetime:
    left = working_days
    while left > 0:
        day += timedelta(days=1)
        left -= _is_working_day(day.date())
    return day


def _is_working_day(day: date) -> bool:
    try:
        return bool(chinese_calendar.is_workday(day))
    except NotImplementedError:
        return day.weekday() < SATURDAY
