"""trends once more, slowly and another way: event by event in plain Python, by the words of its definition."""

from collections import defaultdict
from datetime import date, timedelta
from decimal import Decimal
from typing import Any
from zoneinfo import ZoneInfo

from reports.metrics.trends import Trends
from tests.reports.events import Seen
from tests.reports.oracle_sessions import interval_of

Table = dict[tuple[str, str | None], dict[str, Any]]
"""(interval, value of the breakdown) -> name -> value; `p90` is the exact one."""


def trends(seen: list[Seen], zone: str, first: date, last: date, by: str, asked: Trends) -> Table:
    days = [first + timedelta(days=n) for n in range((last - first).days + 1)]
    keys = sorted({interval_of(day, by).isoformat() for day in days})
    found: dict[tuple[str, str | None], list[Seen]] = defaultdict(list)
    for key in keys if asked.field is None or asked.only is not None else []:
        found[key, None] = []
    for one in seen:
        key = interval_of(one.at.astimezone(ZoneInfo(zone)).date(), by).isoformat()
        value = said(one, asked.field)
        if key in keys and asked.event in (None, one.name) and (asked.only is None or value in asked.only):
            found[key, None if asked.only is not None else value].append(one)
    return {key: _row(some, asked.property) for key, some in found.items()}


def earlier(first: date, last: date, by: str) -> tuple[date, date]:
    """The dates whose intervals are as many, and end where those of the range begin."""
    days = [first + timedelta(days=n) for n in range((last - first).days + 1)]
    number = len({interval_of(day, by) for day in days})
    ends = interval_of(first, by) - timedelta(days=1)
    begins = ends
    for _ in range(number - 1):
        begins = interval_of(begins, by) - timedelta(days=1)
    return begins, ends


def said(one: Seen, field: str | None) -> str | None:
    if field in (None, "event", "scene", "page"):
        return {None: None, "event": one.name, "scene": one.scene, "page": one.page}[field]
    assert field is not None
    if field.startswith("properties."):
        value = (one.properties or {}).get(field.removeprefix("properties."))
        return str(value).lower() if isinstance(value, bool) else value
    return (one.context or {}).get(field)


def _row(some: list[Seen], name: str | None) -> dict[str, Any]:
    subjects = len({one.subject for one in some})
    row: dict[str, Any] = {
        "events": len(some),
        "subjects": subjects,
        "events_per_subject": round(len(some) / subjects, 3) if some else None,
    }
    if name is None:
        return row
    numbers = [(one.properties or {}).get(name) for one in some]
    known = sorted(Decimal(str(number)) for number in numbers if type(number) in (int, float))
    total = float(sum(known))
    return row | {
        "known": len(known),
        "sum": round(total, 3),
        "mean": round(total / len(known), 3) if known else None,
        "p90": known[-(-len(known) * 9 // 10) - 1] if known else None,
    }
