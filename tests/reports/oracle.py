"""activity once more, slowly and another way: event by event in plain Python, by the words of its definition."""

from collections import defaultdict
from collections.abc import Iterable
from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

from tests.reports.events import Seen

Rows = dict[str, dict[str, dict[str, int]]]
"""Table -> row's key -> column -> value."""


def activity(seen: Iterable[Seen], zone: str, first: date, last: date) -> Rows:
    events = [(one.subject, one.at.astimezone(ZoneInfo(zone)).date(), one) for one in seen]
    starts = [start.astimezone(ZoneInfo(zone)).date() for start in session_starts([one for _, _, one in events])]

    def users(begins: date, ends: date) -> int:
        return len({subject for subject, day, _ in events if begins <= day <= ends})

    rows: Rows = {"data": {}, "weeks": {}, "months": {}}
    day = first
    while day <= last:
        rows["data"][day.isoformat()] = {
            "dau": users(day, day),
            "wau_rolling": users(day - timedelta(days=6), day),
            "mau_rolling": users(day - timedelta(days=29), day),
            "events": sum(d == day for _, d, _ in events),
            "sessions": sum(d == day for d in starts),
        }
        monday = date.fromisocalendar(*day.isocalendar()[:2], 1)
        rows["weeks"][monday.isoformat()] = {"wau": users(monday, monday + timedelta(days=6))}
        of_month = {d for _, d, _ in events if (d.year, d.month) == (day.year, day.month)}
        in_month = {subject for subject, d, _ in events if d in of_month}
        rows["months"][f"{day:%Y-%m}-01"] = {"mau": len(in_month)}
        day += timedelta(days=1)
    return rows


def session_starts(seen: list[Seen]) -> list[datetime]:
    """The first instant of every session."""
    runs: dict[tuple[str, str | None], list[datetime]] = defaultdict(list)
    for one in seen:
        runs[one.subject, one.session].append(one.at)
    return [start for (_, session), times in runs.items() for start in _starts(sorted(times), session is not None)]


def _starts(times: list[datetime], by_client: bool) -> list[datetime]:
    longest_pause = timedelta(hours=24) if by_client else timedelta(minutes=30)
    starts: list[datetime] = []
    run_began = ends = last = datetime.min.replace(tzinfo=UTC)
    for time in times:
        if time - last > longest_pause:
            run_began, ends = time, time + timedelta(hours=24)
            starts.append(time)
        elif time >= ends:
            assert time >= run_began + timedelta(hours=24)
            starts.append(time)
            at = time.astimezone(UTC)
            ends = at.replace(hour=0, minute=0, second=0, microsecond=0) + timedelta(days=1)
        last = time
    return starts
