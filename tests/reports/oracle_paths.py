"""paths once more, slowly and another way: session by session, by the words of its definition."""

from collections import Counter, defaultdict
from dataclasses import dataclass, field
from datetime import date
from itertools import groupby
from typing import Any
from zoneinfo import ZoneInfo

from reports.metrics.paths import Paths
from tests.reports.events import Seen
from tests.reports.oracle_sessions import cut

Key = tuple[Any, ...]


@dataclass
class Found:
    """Key -> sessions; and whose."""

    nodes: Counter[Key] = field(default_factory=Counter)
    links: Counter[Key] = field(default_factory=Counter)
    drop_offs: Counter[Key] = field(default_factory=Counter)
    subjects: dict[Key, set[str]] = field(default_factory=lambda: defaultdict(set))


def paths(seen: list[Seen], zone: str, first: date, last: date, asked: Paths) -> Found:
    found = Found()
    for visit in cut(seen):
        if not first <= visit[0].at.astimezone(ZoneInfo(zone)).date() <= last:
            continue
        visit.sort(key=lambda one: (one.at, one.event_id))
        if asked.sequence == "page":
            names = [one.page for one in visit if one.name == "page_view"]
        else:
            names = [one.name for one in visit]
        _add(found, _path([name for name, _ in groupby(names)], asked), visit[0].subject, asked)
    return found


def _path(names: list[str | None], asked: Paths) -> list[str | None]:
    if asked.end is not None:
        names = names[::-1]
    anchor = asked.start if asked.end is None else asked.end
    if anchor is None:
        return names
    return names[names.index(anchor) :] if anchor in names else []


def _add(found: Found, path: list[str | None], subject: str, asked: Paths) -> None:
    for n, name in enumerate(path[: asked.steps], start=1):
        found.nodes[n, name] += 1
        if n == asked.steps:
            return
        if n == len(path):
            key: Key = (n, name)
            found.drop_offs[key] += 1
        else:
            ends = (path[n], name) if asked.end is not None else (name, path[n])
            key = (n, *ends)
            found.links[key] += 1
        found.subjects[key].add(subject)
