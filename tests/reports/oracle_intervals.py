"""intervals and frequency once more, slowly and another way: subject by subject, by the words of its definition."""

from collections import Counter, defaultdict
from datetime import date, datetime, timedelta
from decimal import Decimal
from typing import Any
from zoneinfo import ZoneInfo

from reports.metrics.frequency import Frequency
from reports.metrics.intervals import Between
from tests.reports.events import Seen
from tests.reports.oracle_sessions import interval_of


def between(
    seen: list[Seen], zone: str, first: date, last: date, by: str, as_of: datetime, asked: Between
) -> dict[str, dict[str, Any]]:
    """Interval -> starts, open_starts, subjects, and `took`, the sorted times."""
    keys = sorted({interval_of(first + timedelta(days=n), by).isoformat() for n in range((last - first).days + 1)})
    found: dict[str, dict[str, Any]] = {
        key: {"starts": 0, "open_starts": 0, "subjects": set(), "took": []} for key in keys
    }
    theirs: dict[str, list[Seen]] = defaultdict(list)
    for one in seen:
        theirs[one.subject].append(one)
    for subject, own in theirs.items():
        own.sort(key=lambda one: one.at)
        begun = set()
        for n, start in enumerate(own):
            key = interval_of(start.at.astimezone(ZoneInfo(zone)).date(), by).isoformat()
            first_only = asked.mode == "first_to_first"
            if start.name != asked.start_event or key not in found or (first_only and key in begun):
                continue
            begun.add(key)
            row = found[key]
            if start.at + asked.bound >= as_of:
                row["open_starts"] += 1
                continue
            row["starts"] += 1
            later = own[n + 1 :] if asked.start_event == asked.end_event else own
            ends = [one.at - start.at for one in later if one.name == asked.end_event and one.at >= start.at]
            if ends and min(ends) <= asked.bound:
                row["took"].append(min(ends).total_seconds())
                row["subjects"].add(subject)
    for row in found.values():
        row["took"].sort()
    return found


def frequency(seen: list[Seen], zone: str, first: date, last: date, asked: Frequency) -> dict[str, int]:
    """Value -> subjects."""
    theirs: dict[str, list[Seen]] = defaultdict(list)
    for one in seen:
        if first <= one.at.astimezone(ZoneInfo(zone)).date() <= last and asked.event in (None, one.name):
            theirs[one.subject].append(one)
    found: Counter[str] = Counter()
    for own in theirs.values():
        if asked.by == "events":
            found[_count_band(len(own))] += 1
        elif asked.by == "days":
            found[str(len({one.at.astimezone(ZoneInfo(zone)).date() for one in own}))] += 1
        else:
            said = [(one.properties or {}).get(asked.property or "") for one in own]
            numbers = [Decimal(str(number)) for number in said if type(number) in (int, float)]
            if numbers:
                found[_sum_band(sum(numbers, start=Decimal(0)))] += 1
    return dict(found)


def _count_band(number: int) -> str:
    for ends, name in ((10, str(number)), (20, "11-20"), (50, "21-50"), (100, "51-100")):
        if number <= ends:
            return name
    return "101+"


def _sum_band(total: Decimal) -> str:
    if total < 0:
        return "below 0"
    low = 0
    for high in (1, 10, 20, 50, 100, 200, 500, 1000, 2000, 5000, 10_000, 100_000, 1_000_000):
        if total < high:
            return f"{low}-{high}"
        low = high
    return "1000000+"
