"""Local days, weeks and months of a zone, as instants; and which UTC days hold their events.

A local day runs from midnight of its date to midnight of the next: 23, 24 or 25 hours where clocks change. Where the
clock shows midnight twice it is the first, where it jumps over midnight the instant of the jump. Only Python's zone
data decides: the database is given instants, so that its own copy cannot disagree.
"""

from collections.abc import Iterator
from datetime import UTC, date, datetime, time, timedelta
from typing import Literal
from zoneinfo import ZoneInfo

from reports.privacy.figures import Period

DAY = timedelta(days=1)
MOMENT = timedelta(microseconds=1)
"""The resolution of all clocks here."""

Interval = Literal["day", "week", "month"]
KEYS: dict[Interval, str] = {"day": "date", "week": "week", "month": "month"}
"""What a row of an interval is named by: its date, its Monday, its first day."""


def day_start(day: date, zone: ZoneInfo) -> datetime:
    """The instant at which a local date begins, in UTC."""
    return datetime.combine(day, time.min, tzinfo=zone).astimezone(UTC)


def dates(first: date, last: date) -> Iterator[date]:
    """Both inclusive."""
    for offset in range((last - first).days + 1):
        yield first + offset * DAY


def period(first: date, last: date, zone: ZoneInfo) -> Period:
    """From the beginning of a local date to the end of another."""
    return Period(day_start(first, zone), day_start(last + DAY, zone))


def week(day: date) -> tuple[date, date]:
    """Its Monday and Sunday."""
    monday = day - day.weekday() * DAY
    return monday, monday + 6 * DAY


def month(day: date) -> tuple[date, date]:
    """Its first and last day."""
    first = day.replace(day=1)
    after = (first + 31 * DAY).replace(day=1)
    return first, after - DAY


def weeks(first: date, last: date) -> list[tuple[date, date]]:
    """The natural weeks that a range touches, whole, in order."""
    return sorted({week(day) for day in dates(first, last)})


def months(first: date, last: date) -> list[tuple[date, date]]:
    """The natural months that a range touches, whole, in order."""
    return sorted({month(day) for day in dates(first, last)})


def intervals(first: date, last: date, by: Interval) -> list[tuple[date, date]]:
    """The days, or the whole weeks or months touched, in order: first and last date of each."""
    if by == "day":
        return [(day, day) for day in dates(first, last)]
    return weeks(first, last) if by == "week" else months(first, last)


def utc_days(of: Period, *, skew: timedelta) -> list[date]:
    """The UTC dates, as sent, of all events whose corrected time lies in a period, where the two differ by `skew` at most.

    With 24 h these are at most the UTC dates from two days before the first local date to two days after the last,
    in any zone: a zone is 14 h ahead or 12 h behind at most.
    """
    first = (of.begins - skew).astimezone(UTC).date()
    # `ends` is outside: the last instant is a moment earlier.
    last = (of.ends - MOMENT + skew).astimezone(UTC).date()
    return list(dates(first, last))
