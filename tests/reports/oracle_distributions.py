"""distributions once more, slowly and another way: session by session in plain Python, by the words of its definition."""

from collections import defaultdict
from collections.abc import Callable
from datetime import date, timedelta
from zoneinfo import ZoneInfo

from tests.reports.events import Seen
from tests.reports.oracle_sessions import cut

Table = dict[tuple[str, str | None], tuple[int, int]]
"""(dimension, value) -> sessions, subjects."""

DWELL = ["0-2", "3-5", "6-10", "11-20", "21-30", "31-60", "61-180", "181-600", "601-1800", "1801+"]
DEPTH = ["0", "1", "2", "3", "4", "5", "6-10", "11-20", "21+"]


def distributions(seen: list[Seen], zone: str, first: date, last: date) -> Table:
    found: dict[tuple[str, str | None], list[str]] = defaultdict(list)
    for visit in cut(seen):
        if first <= visit[0].at.astimezone(ZoneInfo(zone)).date() <= last:
            values = {
                "scene": _first(visit, lambda one: one.scene),
                "os": _first(visit, lambda one: (one.context or {}).get("os")),
                "app_version": _first(visit, lambda one: (one.context or {}).get("app_version")),
                "dwell_band": _band((visit[-1].at - visit[0].at) // timedelta(seconds=1), DWELL),
                "depth_band": _band(sum(one.name == "page_view" for one in visit), DEPTH),
            }
            for dimension, value in values.items():
                found[dimension, value].append(visit[0].subject)
    return {key: (len(subjects), len(set(subjects))) for key, subjects in found.items()}


def _first(visit: list[Seen], said: Callable[[Seen], str | None]) -> str | None:
    given = [(one.at, value) for one in visit if (value := said(one)) is not None]
    return min(given)[1] if given else None


def _band(number: int, names: list[str]) -> str:
    for name in names:
        low, _, high = name.removesuffix("+").partition("-")
        if int(low) <= number <= int(high or low) or (name.endswith("+") and number >= int(low)):
            return name
    raise AssertionError(number)
