"""When a request must be answered: the earlier of a number of working days and a number of days (LAW.md L15)."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

SATURDAY = 5


@dataclass(frozen=True)
class Deadlines:
    """15 working days are the app rules', 30 days GB/T 35273's (both read second-hand)."""

    working_days: int = 15
    days: int = 30


def due_at(received_at: datetime, deadlines: Deadlines, *, zone: str) -> datetime:
    """The same time of day on the last day allowed, in the mini-program's zone; days count from the day after receipt.

    Weekends are left out. PRC holidays, and weekends that are worked for them, are not known here yet: in weeks with a
    holiday this is earlier than the law asks.
    """
    local = received_at.astimezone(ZoneInfo(zone))
    day = _after(local, deadlines.working_days)
    return min(day, local + timedelta(days=deadlines.days)).astimezone(received_at.tzinfo)


def extended(due: datetime, working_days: int, *, zone: str) -> datetime:
    """A deadline put off by a number of working days, in the mini-program's zone."""
    return _after(due.astimezone(ZoneInfo(zone)), working_days).astimezone(due.tzinfo)


def _after(day: datetime, working_days: int) -> datetime:
    left = working_days
    while left > 0:
        day += timedelta(days=1)
        left -= day.weekday() < SATURDAY
    return day
