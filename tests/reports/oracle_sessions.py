"""sessions once more, slowly and another way: every session as a list of its events, by the words of its definition."""

from collections import defaultdict
from collections.abc import Iterable
from datetime import UTC, date, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from tests.reports.events import Seen

WITHOUT_DOING = {"launch", "hide", "page_view", "page_leave", "expose", "ab_exposure", "incentive_granted"}


def cut(seen: Iterable[Seen]) -> list[list[Seen]]:
    """The sessions, each with its events in order."""
    runs: dict[tuple[str, str | None], list[Seen]] = defaultdict(list)
    for one in seen:
        runs[one.subject, one.session].append(one)
    return [visit for run in runs.values() for visit in _cut(sorted(run, key=lambda one: one.at))]


def _cut(run: list[Seen]) -> list[list[Seen]]:
    pause = timedelta(minutes=30) if run[0].session is None else timedelta(hours=24)
    visits: list[list[Seen]] = []
    ends = last = datetime.min.replace(tzinfo=UTC)
    for one in run:
        if one.at - last > pause:
            ends = one.at + timedelta(hours=24)
            visits.append([])
        elif one.at >= ends:
            midnight = one.at.astimezone(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
            ends = midnight + timedelta(days=1)
            visits.append([])
        visits[-1].append(one)
        last = one.at
    return visits


def interval_of(day: date, by: str) -> date:
    if by == "week":
        return date.fromisocalendar(*day.isocalendar()[:2], 1)
    return day.replace(day=1) if by == "month" else day


def sessions(seen: Iterable[Seen], zone: str, first: date, last: date, by: str) -> dict[str, dict[str, Any]]:
    """Row's key (`total` too) -> name -> value."""
    days = [first + timedelta(days=n) for n in range((last - first).days + 1)]
    parts: dict[str, list[list[Seen]]] = {interval_of(day, by).isoformat(): [] for day in days}
    for visit in cut(seen):
        key = interval_of(visit[0].at.astimezone(ZoneInfo(zone)).date(), by).isoformat()
        if key in parts:
            parts[key].append(visit)
    parts["total"] = [visit for part in parts.values() for visit in part]
    return {key: _figures(visits) for key, visits in parts.items()}


def _figures(visits: list[list[Seen]]) -> dict[str, Any]:
    views = [sum(one.name == "page_view" for one in visit) for visit in visits]
    bounced = sum(
        n == 1 and all(one.name in WITHOUT_DOING for one in visit) for n, visit in zip(views, visits, strict=True)
    )
    lengths = sum((visit[-1].at - visit[0].at for visit in visits), start=timedelta())
    return {
        "sessions": len(visits),
        "bounce_rate": round(bounced / sum(n > 0 for n in views), 4) if any(views) else None,
        "mean_depth": round(sum(views) / len(visits), 3) if visits else None,
        "mean_duration_s": round(lengths / timedelta(seconds=1) / len(visits), 3) if visits else None,
    }
