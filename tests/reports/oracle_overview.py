"""overview and shares once more, slowly and another way, by the words of its definition; new ones: tests.reports.oracle_lifecycle."""

from calendar import monthrange
from datetime import date, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from reports.metrics.shares import SHARED_SCENES
from tests.reports import oracle_lifecycle
from tests.reports.events import Seen
from tests.reports.oracle_sessions import cut, interval_of

DAY = timedelta(days=1)


def glance(seen: list[Seen], zone: str, day: date, as_of: datetime) -> dict[str, Any]:
    """A date's row."""
    there = ZoneInfo(zone)
    events = [one for one in seen if one.at.astimezone(there).date() == day]
    visits = [visit for visit in cut(seen) if visit[0].at.astimezone(there).date() == day]
    visitors = len({one.subject for one in events})
    seconds = sum(((visit[-1].at - visit[0].at) / timedelta(seconds=1) for visit in visits), start=0.0)
    views = sum(one.name == "page_view" for visit in visits for one in visit)
    new = oracle_lifecycle.lifecycle(seen, [], zone, day, day, "day", as_of)[day.isoformat()]["new"]
    return {
        "opens": len(visits),
        "visitors": visitors,
        "opens_per_visitor": round(len(visits) / visitors, 3) if visitors else None,
        "views": sum(one.name == "page_view" for one in events),
        "new_visitors": new,
        "mean_time_per_session_s": round(seconds / len(visits), 3) if visits else None,
        "mean_time_per_visitor_s": round(seconds / visitors, 3) if visitors else None,
        "mean_depth": round(views / len(visits), 3) if visits else None,
        "shares": sum(one.name == "share" for one in events),
        "sharers": len({one.subject for one in events if one.name == "share"}),
    }


def compared(day: date) -> dict[str, date]:
    ends = day.replace(day=1) - DAY
    return {
        "day_before": day - DAY,
        "week_before": day - 7 * DAY,
        "month_before": ends.replace(day=min(day.day, monthrange(ends.year, ends.month)[1])),
    }


def cumulative(seen: list[Seen], zone: str, last: date) -> int:
    return len({one.subject for one in seen if one.at.astimezone(ZoneInfo(zone)).date() <= last})


def shares(seen: list[Seen], zone: str, first: date, last: date, by: str, as_of: datetime) -> dict[str, list[Any]]:
    """Interval -> shares, sharers, sessions from a share, new from a share, returns per share."""
    there = ZoneInfo(zone)

    def key_of(one: Seen) -> date:
        return interval_of(one.at.astimezone(there).date(), by)

    found: dict[str, list[Any]] = {}
    for key in sorted({interval_of(first + n * DAY, by) for n in range((last - first).days + 1)}):
        made = [one for one in seen if one.name == "share" and key_of(one) == key]
        visits = [visit for visit in cut(seen) if key_of(visit[0]) == key]
        back = [visit for visit in visits if _scene(visit) in SHARED_SCENES]
        new = 0
        for subject in {visit[0].subject for visit in back}:
            own = [one for one in seen if one.subject == subject]
            begun = min(visit[0].at for visit in visits if visit[0].subject == subject)
            is_new = oracle_lifecycle.lifecycle(own, [], zone, key, key, by, as_of)[key.isoformat()]["new"]
            came = any(visit[0].subject == subject and visit[0].at == begun for visit in back)
            new += bool(is_new and came)
        rate = round(len(back) / len(made), 4) if made else None
        found[key.isoformat()] = [len(made), len({one.subject for one in made}), len(back), new, rate]
    return found


def _scene(visit: list[Seen]) -> str | None:
    said = sorted((one.at, one.scene) for one in visit if one.scene is not None)
    return said[0][1] if said else None
