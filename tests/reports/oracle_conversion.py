"""conversion once more, slowly and another way: subject by subject, by the words of its definition."""

from collections import defaultdict
from datetime import date, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from reports.metrics.conversion import Conversion
from tests.reports.events import Seen
from tests.reports.oracle_sessions import interval_of

Table = dict[tuple[str, str | None], list[Any]]
"""(interval, value) -> exposed, converted, conversion, exposures, goals, goals per exposure."""


def conversion(seen: list[Seen], zone: str, first: date, last: date, by: str, asked: Conversion) -> Table:
    keys = {interval_of(first + timedelta(days=n), by).isoformat() for n in range((last - first).days + 1)}
    theirs: dict[tuple[str, str | None], dict[str, list[Seen]]] = defaultdict(lambda: defaultdict(list))
    for one in seen:
        key, value = interval_of(one.at.astimezone(ZoneInfo(zone)).date(), by).isoformat(), _said(one, asked.field)
        if key in keys:
            theirs[key, value][one.subject].append(one)
    found: Table = {}
    for (key, value), subjects in theirs.items():
        exposed = converted = exposures = goals = 0
        for own in subjects.values():
            shown = [one.at for one in own if asked.exposure in (None, one.name)]
            reached = [one for one in own if one.name == asked.goal and shown and one.at >= min(shown)]
            exposed, converted = exposed + bool(shown), converted + bool(reached)
            exposures, goals = exposures + len(shown), goals + len(reached)
        if exposed:
            rates = round(converted / exposed, 4), round(goals / exposures, 4)
            found[key, value] = [exposed, converted, rates[0], exposures, goals, rates[1]]
    if asked.field is None:
        for key in keys:
            found.setdefault((key, None), [0, 0, None, 0, 0, None])
    return found


def _said(one: Seen, field: str | None) -> str | None:
    if field == "element":
        return (one.properties or {}).get("element")
    return one.page if field == "page" else None
