"""quality once more, slowly and another way: every event by itself, by the words of its definition."""

from collections import Counter, defaultdict
from collections.abc import Iterable
from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

from tests.reports.oracle_sessions import interval_of
from tests.reports.sent import Sent

Received = tuple[datetime, Sent]
Key = tuple[str, str | None]


def answers(at: datetime, one: Sent, zone: str) -> list[str]:
    """The columns that an event counts in."""
    if one.answer in ("consent_changing", "busy"):
        return []
    if one.answer == "duplicate":
        return ["duplicate"]
    if one.answer != "accepted":
        return ["refused", one.answer]
    day = (at - one.age).astimezone(ZoneInfo(zone)).date()
    over = datetime.combine(day + timedelta(days=1), datetime.min.time(), ZoneInfo(zone)).astimezone(UTC)
    return ["accepted", "late"] if at - over >= timedelta(hours=48) else ["accepted"]


def cells(
    received: Iterable[Received], zone: str, first: date, last: date, by: str, types: set[str]
) -> dict[tuple[Key, str], list[Sent]]:
    """((interval, event type), column) -> the events in it."""
    days = [first + timedelta(days=n) for n in range((last - first).days + 1)]
    asked = {interval_of(day, by).isoformat() for day in days}
    found: dict[tuple[Key, str], list[Sent]] = defaultdict(list)
    for at, one in received:
        key = interval_of(at.astimezone(ZoneInfo(zone)).date(), by).isoformat()
        name = one.name if one.who is not None and one.name in types else None
        for column in answers(at, one, zone) if key in asked else []:
            found[(key, name), column].append(one)
    return found


def quality(
    received: Iterable[Received], zone: str, first: date, last: date, by: str, types: set[str]
) -> tuple[dict[Key, dict[str, int]], dict[str, int]]:
    """What is not 0: by interval and event type, and over all of them."""
    rows: dict[Key, dict[str, int]] = defaultdict(dict)
    total: Counter[str] = Counter()
    for (key, column), some in cells(received, zone, first, last, by, types).items():
        rows[key][column] = len(some)
        total[column] += len(some)
    return dict(rows), dict(total)
