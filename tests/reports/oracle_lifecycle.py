"""lifecycle and stickiness once more, slowly and another way: subject by subject, by the words of its definition."""

from collections import defaultdict
from datetime import UTC, date, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from tests.reports.events import ACCEPTED, Seen
from tests.reports.oracle_sessions import interval_of

States = dict[str, dict[str, int | None]]
"""Interval -> state -> subjects."""

HOUR = timedelta(hours=1)


def lifecycle(
    held: list[Seen], gone: list[Seen], zone: str, first: date, last: date, by: str, as_of: datetime
) -> States:
    """`gone`: events that were purged, whose days are remembered."""
    there = ZoneInfo(zone)
    keys = sorted({interval_of(first + timedelta(days=n), by) for n in range((last - first).days + 1)})
    found: States = {}
    for key in keys:
        before = interval_of(key - timedelta(days=1), by)
        after = interval_of(key + timedelta(days=32 if by == "month" else 7 if by == "week" else 1), by)
        begins, ends = (datetime(day.year, day.month, day.day, tzinfo=there) for day in (key, after))
        row: dict[str, int | None] = dict.fromkeys(("new", "returning", "resurrected", "unknown", "dormant"), 0)
        for own in _by_subject(held).values():
            active = {interval_of(one.at.astimezone(there).date(), by) for one in own}
            state = None
            if key in active:
                theirs = [one for one in gone if one.subject == own[0].subject]
                state = "returning" if before in active else _first_time(own, theirs, begins, as_of)
            elif before in active:
                state = "dormant"
            if state is not None:
                row[state] = (row[state] or 0) + 1
        if ends > as_of:
            row["dormant"] = None
        found[key.isoformat()] = row
    return found


def _first_time(own: list[Seen], gone: list[Seen], begins: datetime, as_of: datetime) -> str:
    """Of somebody active in an interval and not in the one before."""
    day = min(_sent(one) for one in own + gone)
    midnight = datetime(day.year, day.month, day.day, tzinfo=UTC)
    if any(one.at < begins for one in own) or midnight + 48 * HOUR <= begins:
        return "resurrected"
    if begins < as_of - ACCEPTED:
        return "unknown"
    if all(_sent(one) != day for one in own) and midnight - 24 * HOUR < begins:
        return "unknown"
    return "new"


def _sent(one: Seen) -> date:
    """The UTC date that a day is remembered by."""
    return (one.at + one.skew).astimezone(UTC).date()


def _by_subject(seen: list[Seen]) -> dict[str, list[Seen]]:
    found: dict[str, list[Seen]] = defaultdict(list)
    for one in seen:
        found[one.subject].append(one)
    return found


def stickiness(seen: list[Seen], zone: str, first: date, last: date) -> tuple[dict[str, list[Any]], dict[str, int]]:
    """(date -> dau, mau, their ratio), (number of days -> subjects)."""
    days = {(one.subject, one.at.astimezone(ZoneInfo(zone)).date()) for one in seen}
    dates: dict[str, list[Any]] = {}
    for n in range((last - first).days + 1):
        day = first + timedelta(days=n)
        dau = len({subject for subject, on in days if on == day})
        mau = len({subject for subject, on in days if day - timedelta(days=30) < on <= day})
        dates[day.isoformat()] = [dau, mau, round(dau / mau, 4) if mau else None]
    numbers: dict[str, int] = defaultdict(int)
    for subject in {subject for subject, _ in days}:
        number = sum(subject == one and first <= on <= last for one, on in days)
        if number:
            numbers[str(number)] += 1
    return dates, dict(numbers)
