"""retention once more, slowly and another way: subject by subject, by the words of its definition."""

from collections import defaultdict
from datetime import date, datetime, timedelta
from zoneinfo import ZoneInfo

from reports.metrics.retention import Retention
from tests.reports.events import Seen
from tests.reports.oracle_sessions import interval_of

LENGTH = {"day": 1, "week": 7, "month": 30}


def steps(cohort: date, day: date, by: str) -> int:
    """How many intervals later."""
    if by == "month":
        return (day.year - cohort.year) * 12 + day.month - cohort.month
    return (day - cohort).days // LENGTH[by]


def retention(
    seen: list[Seen], zone: str, first: date, last: date, by: str, asked: Retention
) -> dict[str, tuple[int, list[int]]]:
    """Cohort -> size and values."""
    days = [first + timedelta(days=n) for n in range((last - first).days + 1)]
    cohorts = sorted({interval_of(day, by) for day in days})
    found = {cohort.isoformat(): (0, [0] * asked.periods) for cohort in cohorts}
    by_subject: dict[str, list[Seen]] = defaultdict(list)
    for one in seen:
        by_subject[one.subject].append(one)
    for own in by_subject.values():
        for cohort, anchor in _memberships(own, zone, by, asked).items():
            if cohort in cohorts:
                size, values = found[cohort.isoformat()]
                came = _came(own, zone, by, asked, cohort, anchor)
                for n in range(asked.periods):
                    values[n] += n in came if asked.mode == "on" else any(after >= n for after in came)
                found[cohort.isoformat()] = (size + 1, values)
    return found


def _memberships(own: list[Seen], zone: str, by: str, asked: Retention) -> dict[date, datetime]:
    times = sorted(one.at for one in own if asked.cohort_event in (None, one.name))
    if asked.cohort == "first_time":
        times = times[:1]
    found: dict[date, datetime] = {}
    for at in times:
        found.setdefault(interval_of(at.astimezone(ZoneInfo(zone)).date(), by), at)
    return found


def _came(own: list[Seen], zone: str, by: str, asked: Retention, cohort: date, anchor: datetime) -> set[int]:
    """The periods in which a subject came back."""
    includes = asked.return_event is None or asked.return_event == asked.cohort_event
    came = {0} if asked.cohort == "first_time" and includes else set()
    for one in own:
        if one.at > anchor and asked.return_event in (None, one.name):
            if asked.clock == "calendar":
                came.add(steps(cohort, interval_of(one.at.astimezone(ZoneInfo(zone)).date(), by), by))
            else:
                came.add((one.at - anchor) // timedelta(days=LENGTH[by]))
    return came
