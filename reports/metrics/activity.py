"""activity: how many subjects were there, how often, and how much they did.

Asked: a mini-program, its zone, `from` and `to` (inclusive local dates), as-of. A local day runs from midnight to
midnight of that zone (reports.metrics.calendar), and an event lies in the day of its `corrected_at`: the sender's
clock error is taken out, and an event that came late counts on the day it happened. Whose events count:
reports.metrics.standing. Every stored event type counts, and every event once (a duplicate was never stored).

`data`, a row a local date:
- `dau`: distinct subjects with an event on the date.
- `wau_rolling`, `mau_rolling`: distinct subjects with an event on one of the 7, or 30, local days that end with the
  date; the days before `from` are read for them.
- `events`: events on the date.
- `sessions`: sessions whose first event lies on the date (reports.metrics.session). So it may be below `dau`: who
  stays over midnight is active on both days and has begun one session.
`weeks`, `months`: `wau`, `mau`, distinct subjects with an event in the natural week (named by its Monday) or month
(named by its first day). Every week and month that the range touches is there, and counted whole, also where it begins
before `from` or ends after `to`. Users are never summed over days.
A day, week or month without events is 0. One that has begun and is not over is the total so far.

What each figure rests on, for the gate: users on themselves; `events` on the day's subjects; `sessions` on the subjects
who began one, or, where nobody did, on the day's subjects.
"""

from dataclasses import dataclass
from datetime import date
from typing import Any

from django.db import connection
from pyroaring import BitMap64

from reports.metrics.calendar import DAY, dates, day_start, months, period, utc_days, weeks
from reports.metrics.registry import Question, metric
from reports.metrics.session import LOOK_BACK, STARTS
from reports.metrics.standing import EVENTS
from reports.privacy.figures import Count, Figures, Period, Row
from tracking.ingest.parse import MAX_SKEW

WEEK_DAYS, MONTH_DAYS = 7, 30

DEFINITION = (
    "Local days of the zone, midnight to midnight, by corrected_at. dau: distinct subjects with an event on the date; "
    "wau_rolling, mau_rolling: in the 7, 30 days ending with the date; wau, mau: in the whole natural week (from "
    "Monday), month. events: all event types. sessions: by client session_id, otherwise cut at pauses over 30:00, 24 h "
    "at most, on the day of the first event. Only subjects whose consent and data stand at as_of are counted: who "
    "withdrew (withdrawn_subjects), was erased or is restricted is missing from all dates, so figures of the past fall "
    "and retention reads too high. closed false: the figure may still change."
)

# One statement, so that all figures are of one snapshot. `place` numbers the local days from 1: `edges` are the
# instants at which they begin, and the end of the last. Subjects are grouped before days, so that each shard counts
# its own; a day's subjects come as one array, to be made a bitmap of.
ACTIVITY = f"""
    WITH counted AS (
        SELECT e.subject_id, e.corrected_at, e.session_id,
               width_bucket(e.corrected_at, %(edges)s::timestamptz[]) AS place
        FROM {EVENTS} AND e.corrected_at >= %(begins)s AND e.corrected_at < %(ends)s
    ),
    active AS (
        SELECT place, array_agg(subject_id) AS subjects, sum(events) AS events
        FROM (SELECT place, subject_id, count(*) AS events FROM counted GROUP BY place, subject_id) AS of_subject
        GROUP BY place
    ),
    visited AS (
        SELECT * FROM counted WHERE corrected_at >= %(visits_from)s AND corrected_at < %(visits_until)s
    ),
    {STARTS},
    started AS (
        SELECT place, count(*) AS starters, sum(sessions) AS sessions
        FROM (SELECT place, subject_id, count(*) AS sessions FROM starts GROUP BY place, subject_id) AS of_subject
        GROUP BY place
    )
    SELECT active.place, active.subjects, active.events, coalesce(started.sessions, 0), coalesce(started.starters, 0)
    FROM active LEFT JOIN started ON started.place = active.place
"""


@dataclass(frozen=True, slots=True)
class Day:
    """What a local day holds. `sessions` are right from `from` on; `starters` are the subjects who began one."""

    subjects: BitMap64
    events: int = 0
    sessions: int = 0
    starters: int = 0


NO_DAY = Day(BitMap64())


@metric("activity", definition=DEFINITION)
def activity(question: Question) -> Figures:
    """Under the tenant's transaction."""
    days, zone = _days(question), question.zone
    return Figures(
        {
            "data": [_row(days, day, period(day, day, zone)) for day in dates(question.first, question.last)],
            "weeks": [
                Row(period(first, last, zone), {"week": first.isoformat()}, {"wau": _users(days, first, last)})
                for first, last in weeks(question.first, question.last)
            ],
            "months": [
                Row(period(first, last, zone), {"month": first.isoformat()}, {"mau": _users(days, first, last)})
                for first, last in months(question.first, question.last)
            ],
        }
    )


def _row(days: dict[date, Day], day: date, of: Period) -> Row:
    found = days.get(day, NO_DAY)
    active = len(found.subjects)
    counts = {
        "dau": Count(active),
        "wau_rolling": _users(days, day - (WEEK_DAYS - 1) * DAY, day),
        "mau_rolling": _users(days, day - (MONTH_DAYS - 1) * DAY, day),
        "events": Count(found.events, subjects=active),
        "sessions": Count(found.sessions, subjects=found.starters or active),
    }
    return Row(of, {"date": day.isoformat()}, counts)


def _users(days: dict[date, Day], first: date, last: date) -> Count:
    """Distinct subjects over days."""
    return Count(len(BitMap64().union(*(days[day].subjects for day in dates(first, last) if day in days))))


def scanned(question: Question) -> tuple[date, date]:
    """The local dates that the figures need: the trailing 30 days, and the first and last week and month whole."""
    touched = weeks(question.first, question.last) + months(question.first, question.last)
    first = min(question.first - (MONTH_DAYS - 1) * DAY, *(begins for begins, _ in touched))
    return first, max(ends for _, ends in touched)


def parameters(question: Question) -> dict[str, Any]:
    """Of ACTIVITY. `days` names the partitions."""
    first, last = scanned(question)
    whole = period(first, last, question.zone)
    asked = period(question.first, question.last, question.zone)
    return {
        "program": question.program_id,
        "edges": [day_start(day, question.zone) for day in dates(first, last + DAY)],
        "begins": whole.begins,
        "ends": whole.ends,
        "visits_from": asked.begins - LOOK_BACK,
        "visits_until": asked.ends,
        "days": utc_days(whole, skew=MAX_SKEW),
    }


def _days(question: Question) -> dict[date, Day]:
    """The local days with events."""
    first, _ = scanned(question)
    with connection.cursor() as cursor:
        cursor.execute(ACTIVITY, parameters(question))
        return {
            first + (place - 1) * DAY: Day(BitMap64(subjects), int(events), int(sessions), starters)
            for place, subjects, events, sessions, starters in cursor.fetchall()
        }
