"""retention: how many of those who began together came back, period by period.

Asked: `from`, `to` and `interval` (day, week, month: one cohort each; weeks and months touched count whole), and
- `cohort`: `first_time`, a subject belongs to the interval of its first cohort event still held; `recurring`, to every
  interval in which it has one, from the first of them there.
- `cohort_event`, `return_event`: a name of the catalogue; left out, any event.
- `mode`: `on`, a return event in period N; `on_or_after`, in period N or any later one until as-of.
- `clock`: `calendar`, period N is the N-th local day, week or month after the cohort's; `rolling_24h`, the N-th 24 h (7
  times, 30 times 24 h) after the subject's own cohort event.
- `periods`: how many cells, period 0 the first.

A return lies after the cohort event's instant; events at one instant are one moment. Only where `first_time` meets a
return event that includes the cohort event (the same, or any) is the cohort event itself a return, and period 0 holds
everybody. Where somebody's first event was purged by retention, the first one still held counts: the cohorts in which
retention has just left off hold most who were there. The days that are remembered (`lifecycle`) are not asked. Cohorts without
whom they tell of would be those that `lifecycle` calls new, and the users of `activity` less these and the returning ones the
resurrected, also where `lifecycle` hides them; and asked with another clock or return event, beside cohorts that stand as they were
told, the few who were there before.
Whose events: reports.metrics.standing. Who withdrew is in no cohort, so what is told reads too high.

A cell is `not_observable` until its period is over for everybody in the cohort: in the calendar when the local interval
ends; rolling, when it ends for a subject of the cohort's last instant. For the gate a cell rests on those who
came back and on those who did not; with `on_or_after` the difference between two cells is a block too. A size of `first_time`
rests also on those with a cohort event in the interval who had one before: `activity`, `trends` and `recurring` tell all.
"""

from bisect import bisect_right
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import date, timedelta
from typing import Any, Literal

from django.db import connection
from pyroaring import BitMap64

from consent.errors import Fault, Invalid
from reports.metrics.calendar import DAY, Interval, dates, day_start, intervals, period, utc_days
from reports.metrics.registry import Question, metric
from reports.metrics.standing import EVENTS
from reports.models import RollupKind
from reports.privacy.cohorts import FirstTimes, Part
from reports.privacy.figures import Cohort, Count, Figure, Figures, Period
from reports.rollups.contribution import NOBODY, Days, Tallies, everybody
from reports.rollups.read import mostly_held, standing, with_events
from tracking.ingest.parse import MAX_SKEW
from tracking.models import EventType

ROLLING: dict[Interval, timedelta] = {"day": DAY, "week": 7 * DAY, "month": 30 * DAY}

DEFINITION = (
    "Cohorts by local day, week (from Monday) or month of the subject's first cohort event still held (first_time: "
    "so the earliest cohorts of which there are events hold who came long before, too; see lifecycle for the new) or of "
    "its first one in each interval (recurring), by corrected_at. values[N]: subjects with a return event in period N "
    "(on) or in N or later until as_of (on_or_after); periods are local intervals (calendar) or 24 h, 7 x 24 h, "
    "30 x 24 h from the cohort event (rolling_24h). Returns lie after the cohort event's instant, except that "
    "first_time with a return event that includes the cohort event counts everybody in period 0. Periods not over for "
    "the whole cohort are not_observable. Only subjects whose consent and data stand at as_of are counted: those who "
    "withdrew (withdrawn_subjects), which is not random, are missing, so retention is biased upwards."
)

# A subject's events are gathered into arrays and meet in them, rather than in a join of the events with themselves: a
# planner that misjudges their number would loop through all of them for each. Each shard does its own subjects.
RETENTION = """
    WITH seen AS (
        SELECT e.subject_id, e.corrected_at AS at,
               %(cohort_type)s::bigint IS NULL OR e.type_id = %(cohort_type)s::bigint AS begins,
               %(return_type)s::bigint IS NULL OR e.type_id = %(return_type)s::bigint AS returns
        FROM {events}
    ),
    gathered AS (
        SELECT subject_id, array_agg(at) FILTER (WHERE begins) AS starts, array_agg(at) FILTER (WHERE returns) AS times
        FROM seen GROUP BY subject_id
    ),
    cohort AS (
        SELECT g.subject_id, g.times, a.anchor, a.place
        FROM gathered g CROSS JOIN LATERAL ({anchors}) AS a
        WHERE a.place BETWEEN 1 AND %(cohorts)s
    ),
    returned AS (
        SELECT c.place, c.subject_id, {offset} AS after
        FROM cohort c CROSS JOIN LATERAL unnest(c.times) AS r(at)
        WHERE r.at > c.anchor
    ),
    of_subject AS (
        {per_subject}
    )
    SELECT place, -1, count(*) FROM cohort GROUP BY place
    UNION ALL
    {all_there}
    SELECT place, after, count(*) FROM of_subject WHERE after < %(periods)s GROUP BY place, after
"""
_STARTS = "SELECT at, width_bucket(at, %(edges)s::timestamptz[]) AS place FROM unnest(g.starts) AS u(at)"
_ANCHORS = {
    "first_time": f"SELECT at AS anchor, place FROM ({_STARTS}) AS placed ORDER BY at LIMIT 1",
    "recurring": f"SELECT min(at) AS anchor, place FROM ({_STARTS}) AS placed GROUP BY place",
}
_ALL_THERE = {
    "first_time": f"""SELECT s.place, -2, count(DISTINCT g.subject_id)
    FROM gathered g CROSS JOIN LATERAL ({_STARTS}) AS s
    WHERE s.place BETWEEN 1 AND %(cohorts)s GROUP BY s.place
    UNION ALL""",
    "recurring": "",
}
_OFFSET = {
    "calendar": "width_bucket(r.at, %(edges)s::timestamptz[]) - c.place",
    "rolling_24h": "floor(extract(epoch FROM r.at - c.anchor) / %(rolling_s)s)::bigint",
}
_PER_SUBJECT = {
    "on": "SELECT DISTINCT place, subject_id, after FROM returned",
    "on_or_after": "SELECT place, subject_id, least(max(after), %(periods)s - 1) AS after FROM returned"
    " GROUP BY place, subject_id",
}


@dataclass(frozen=True, slots=True)
class Retention:
    """What is asked beside dates and interval; `periods` 1 or more."""

    cohort: Literal["first_time", "recurring"] = "first_time"
    cohort_event: str | None = None
    return_event: str | None = None
    mode: Literal["on", "on_or_after"] = "on"
    clock: Literal["calendar", "rolling_24h"] = "calendar"
    periods: int = 8

    def kept_as(self) -> "Retention":
        """reports.frozen.about"""
        return replace(self, periods=0)

    @property
    def everybody_at_0(self) -> bool:
        return self.cohort == "first_time" and self.return_event in (None, self.cohort_event)


Counted = dict[tuple[int, int], int]
"""(place of the cohort, period) -> subjects; a cohort's size under period -1, of `first_time` all who were there under -2."""


@metric("retention", definition=DEFINITION, anew=1)
def retention(question: Question) -> Figures:
    """Under the tenant's transaction. Raises Invalid `unknown_event`."""
    asked = question.options if isinstance(question.options, Retention) else Retention()
    cohorts = intervals(question.first, question.last, question.interval)
    parts = _extended(question, asked)
    counted = _counted(question, asked, _types(question.program_id, asked), parts, len(cohorts))
    rows = []
    for place, (first, last) in enumerate(cohorts, start=1):
        size = counted.get((place, -1), 0)
        values = [counted.get((place, after), 0) for after in range(asked.periods)]
        if asked.mode == "on_or_after":
            values = [sum(values[after:]) for after in range(asked.periods)]
        figures: list[Figure] = [Part(value, size) for value in values]
        began: Figure = Count(size)
        if asked.cohort == "first_time":
            began = FirstTimes(size, others=counted.get((place, -2), 0) - size)
        if asked.everybody_at_0:
            figures[0] = began
        cells = list(zip(_periods(question, asked, parts, place), figures, strict=True))
        of = period(first, last, question.zone)
        rows.append(Cohort(of, {"cohort": first.isoformat()}, began, cells, chained=asked.mode == "on_or_after"))
    return Figures({"data": rows})


def _counted(
    question: Question, asked: Retention, types: dict[str, int], parts: list[tuple[date, date]], cohorts: int
) -> Counted:
    # Who was there on which local day is enough where a return in the cohort's own interval need not be told from it.
    if asked.clock == "calendar" and asked.everybody_at_0:
        last = date.max if asked.mode == "on_or_after" else parts[cohorts + asked.periods - 2][1]
        held = with_events(question.program_id, date.min, last, as_of=question.as_of)
        if held and mostly_held(question.program_id, question.zone, *held, as_of=question.as_of):
            wanted = Days(question.program_id, question.zone, *held, types=tuple(types.values()))
            return _from_days(standing(wanted), asked, types, parts, cohorts)
    return _from_events(question, asked, types, parts, cohorts)


def _from_days(
    found: Mapping[date, Tallies], asked: Retention, types: dict[str, int], parts: list[tuple[date, date]], cohorts: int
) -> Counted:
    """`found`: from before anybody's first event on."""
    edges = [first for first, _ in parts]
    begun = BitMap64()
    cohort, there, came = ([BitMap64() for _ in range(len(parts) + 1)] for _ in range(3))
    for day, tallies in sorted(found.items()):
        place = bisect_right(edges, day)
        began = _with(tallies, types.get(asked.cohort_event or ""))
        there[place] |= began
        cohort[place] |= began - begun
        begun |= began
        came[place] |= _with(tallies, types.get(asked.return_event or ""))
    counted: Counted = {}
    for place in range(1, cohorts + 1):
        counted[place, -1], counted[place, -2] = len(cohort[place]), len(there[place])
        later = BitMap64()
        for after in reversed(range(asked.periods)):
            here = came[place + after]
            if asked.mode == "on_or_after":
                # Each under the last period they came in; the last one asked holds all that comes later.
                here = BitMap64().union(*came[place + after :]) if after == asked.periods - 1 else here
                here, later = here - later, later | here
            counted[place, after] = cohort[place].intersection_cardinality(here)
    return counted


def _with(tallies: Tallies, type_id: int | None) -> BitMap64:
    """Who has an event of the type; None for any."""
    return everybody(tallies) if type_id is None else tallies.get((RollupKind.EVENT.value, type_id), NOBODY).subjects


def _from_events(
    question: Question,
    asked: Retention,
    types: dict[str, int],
    parts: list[tuple[date, date]],
    cohorts: int,
) -> Counted:
    statement = RETENTION.format(
        events=EVENTS,
        anchors=_ANCHORS[asked.cohort],
        offset=_OFFSET[asked.clock],
        per_subject=_PER_SUBJECT[asked.mode],
        all_there=_ALL_THERE[asked.cohort],
    )
    parameters: dict[str, Any] = {
        "program": question.program_id,
        "edges": [day_start(first, question.zone) for first, _ in parts],
        "cohorts": cohorts,
        "cohort_type": types.get(asked.cohort_event or ""),
        "return_type": types.get(asked.return_event or ""),
        "periods": asked.periods,
        "rolling_s": ROLLING[question.interval] // timedelta(seconds=1),
        "days": _days(question, asked, parts, cohorts),
    }
    with connection.cursor() as cursor:
        cursor.execute(statement, parameters)
        return {(place, after): number for place, after, number in cursor.fetchall()}


def _types(program_id: int, asked: Retention) -> dict[str, int]:
    names = {"/cohort_event": asked.cohort_event, "/return_event": asked.return_event}
    found = dict(EventType.objects.filter(program_id=program_id, name__in=names.values()).values_list("name", "id"))
    for pointer, name in names.items():
        if name is not None and name not in found:
            fault = Fault("unknown_event", "name an event of the catalogue, or leave it out for any", pointer)
            raise Invalid(fault.code, fault.detail, [fault])
    return found


def _extended(question: Question, asked: Retention) -> list[tuple[date, date]]:
    """The cohorts' intervals and as many after them as there are periods: the last of them holds what comes later."""
    parts = intervals(question.first, question.last, question.interval)
    for _ in range(asked.periods):
        after = parts[-1][1] + DAY
        parts += intervals(after, after, question.interval)
    return parts


def _periods(question: Question, asked: Retention, parts: list[tuple[date, date]], place: int) -> list[Period]:
    """When each cell of a cohort is being lived, by anybody in it; `parts` as _extended gives them."""
    zone = question.zone
    if asked.clock == "calendar":
        return [period(*parts[place - 1 + after], zone) for after in range(asked.periods)]
    began, length = period(*parts[place - 1], zone), ROLLING[question.interval]
    return [Period(began.begins + after * length, began.ends + (after + 1) * length) for after in range(asked.periods)]


def _days(question: Question, asked: Retention, parts: list[tuple[date, date]], cohorts: int) -> list[date]:
    """The UTC dates that can tell: back to the program's first event for first times, on to its last for returns."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT min(day), max(day) FROM subject_day WHERE program_id = %s", [question.program_id])
        earliest, latest = cursor.fetchone()
    if earliest is None:
        return []
    begins = period(*parts[0], question.zone).begins
    ends = _periods(question, asked, parts, cohorts)[-1].ends
    needed = utc_days(Period(begins, ends), skew=MAX_SKEW)
    first = earliest if asked.cohort == "first_time" else max(earliest, needed[0])
    last = latest if asked.mode == "on_or_after" else min(latest, needed[-1])
    return list(dates(first, last))
