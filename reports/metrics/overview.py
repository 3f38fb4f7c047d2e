"""overview: the day at a glance, beside the day, the week and the month before.

Asked: `from`, `to`. `data`, a row a local date; each figure is what another report tells of the same date:
- `opens`: sessions that began on it (`activity`). `visitors`: distinct subjects with an event on it (`activity`'s dau).
  `opens_per_visitor`. `views`: page_views on it (`trends`). `new_visitors`: first event ever on it (`lifecycle`).
- `mean_time_per_session_s`, `mean_depth`: seconds from first to last event, and views, of the sessions that began on it
  (`sessions`). `mean_time_per_visitor_s`: all those seconds / visitors.
- `shares`: share events on it; `sharers`: distinct subjects with one (`shares`).
`day_before`, `week_before`, `month_before`: the same of the date (`compared`) a day, 7 days, a month before; the same day of
the month before, or its last where that is shorter.
`cumulative_visitors`, beside: distinct subjects who were there until the end of `to`, also where their events were purged
since, as long as a day of theirs is remembered (tracking.retention); who stand and consent to anything. It rests on the new visitors of the last day too: told for two days, it tells
how many came between, and of these are at least the later day's new ones.

Whose events: reports.metrics.standing. For the gate: views and shares, and the depth that tells views, are as `trends` tells
them (reports.privacy.types); users on themselves, new ones also on those who are not; sessions on the
subjects who began one, or, where nobody did, on the day's.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from typing import Any

from django.db import connection
from pyroaring import BitMap64

from reports.columns.events import Events
from reports.columns.groups import bitmap
from reports.columns.read import Reading
from reports.columns.visits import visits
from reports.metrics.calendar import DAY, dates, month, period
from reports.metrics.catalogue import by_name
from reports.metrics.lifecycle import states_by_place
from reports.metrics.page_views import Kinds, kinds_of
from reports.metrics.registry import Question, metric
from reports.metrics.session import LOOK_AHEAD, LOOK_BACK, scanned
from reports.metrics.sessions import MICROSECONDS
from reports.metrics.standing import SUBJECT_STANDS
from reports.metrics.tallies import NONE, Tallied
from reports.metrics.types import SHARES, VIEWS, types_of
from reports.metrics.visited import COLUMNS, Sessions, edges, rows, together
from reports.privacy.figures import Count, Figure, Figures, Mean, OfType, PartCount, Period, Row, Value
from reports.rollups.contribution import Days, active
from reports.rollups.read import standing, stretches

DEFINITION = (
    "Local days of the zone by corrected_at. opens: sessions (client session_id, otherwise cut at pauses over 30:00, 24 h at "
    "most) that began on the date; visitors: distinct subjects with an event; new_visitors: first event ever; views: "
    "page_views; mean_time and mean_depth: of the sessions that began, seconds from first to last event and page_views; "
    "shares, sharers: share events and who made them. day_before, week_before, month_before: the same of the date compared. "
    "cumulative_visitors: distinct subjects seen until the end of to, of whom a day is remembered: as long as events are kept, or "
    "historical ones accepted where that is longer. Only subjects whose consent and data stand at "
    "as_of are counted: who withdrew (withdrawn_subjects), was erased or is restricted is missing from all dates, so figures of "
    "the past fall. closed false: the figures may still change."
)

EVER = f"""
    SELECT s.subject_id
    FROM subject s
    JOIN (SELECT subject_id, min(day) AS first_day FROM subject_day WHERE program_id = %(program)s GROUP BY subject_id) AS d
      ON d.subject_id = s.subject_id
    WHERE s.program_id = %(program)s AND {SUBJECT_STANDS} AND (d.first_day + 2)::timestamp AT TIME ZONE 'UTC' <= %(ends)s
      AND EXISTS (
          SELECT FROM consent_state c
          WHERE c.subject_id = s.subject_id AND c.state IN ('given', 'renewed') AND NOT c.guardian_pending
      )
"""
"""Who was surely there before an instant, whatever the clocks: a remembered day is as sent, and up to 24 h off."""


@dataclass(frozen=True, slots=True)
class Visits:
    """The sessions that began on a day; `duration` in microseconds."""

    opens: int = 0
    views: int = 0
    duration: int = 0
    starters: BitMap64 = field(default_factory=BitMap64)


def _day_before(day: date) -> date:
    return day - DAY


def _week_before(day: date) -> date:
    return day - 7 * DAY


def _month_before(day: date) -> date:
    first, last = month(day.replace(day=1) - DAY)
    return min(first + (day.day - 1) * DAY, last)


OF_TYPE = {
    "views": VIEWS,
    "mean_depth": VIEWS,
    "shares": SHARES,
    "sharers": OfType(SHARES.event, "subjects"),
}

BEFORE = {"day_before": _day_before, "week_before": _week_before, "month_before": _month_before}


@metric("overview", definition=DEFINITION)
def overview(question: Question) -> Figures:
    """Under the tenant's transaction."""
    asked = list(dates(question.first, question.last))
    needed = sorted({*asked, *(before(day) for day in asked for before in BEFORE.values())})
    days = list(dates(needed[0], question.last))
    found = standing(Days(question.program_id, question.zone, days[0], days[-1], types=None))
    named = by_name(question.program_id, found)
    there = {day: active(tallies).subjects for day, tallies in found.items()}
    began = _began(question, needed)
    new = states_by_place(question, [(day, day) for day in (days[0] - DAY, *days)])
    figures = {
        day: _figures(began[day], there.get(day, BitMap64()), named.get(day, {}), new.get((n, "new"), BitMap64()))
        for n, day in enumerate(days, start=2)
        if day in began
    }

    def row(of: date, **keys: date) -> Row:
        told = {name: day.isoformat() for name, day in keys.items()}
        return Row(period(of, of, question.zone), told, figures[of])

    tables = {"data": [row(day, date=day) for day in asked]}
    for name, before in BEFORE.items():
        tables[name] = [row(before(day), date=day, compared=before(day)) for day in asked]
    ever = BitMap64().union(_ever(question), *there.values())
    # Of the last day, whatever the first one: the same number is one figure.
    until = period(question.last, question.last, question.zone)
    latest = new.get((len(days) + 1, "new"), BitMap64())
    totals: dict[str, tuple[Period, Figure]] = {"cumulative_visitors": (until, Figure(len(ever), ever, latest))}
    return Figures(tables, totals, of_type=OF_TYPE, types=types_of(question, named))


def _figures(visits: Visits, visitors: BitMap64, named: Mapping[Value, Tallied], new: BitMap64) -> dict[str, Figure]:
    """Of a day. `named`: its events by their type."""
    starters, opens, seconds = visits.starters or visitors, visits.opens, visits.duration / MICROSECONDS
    views, shares = named.get(VIEWS.event, NONE), named.get(SHARES.event, NONE)
    return {
        "opens": Count(opens, subjects=starters),
        "visitors": Count(len(visitors), subjects=visitors),
        "opens_per_visitor": Figure(round(opens / len(visitors), 3) if visitors else None, starters, visitors),
        "views": Count(views.number, subjects=views.subjects),
        "new_visitors": PartCount(len(new), inside=new, outside=visitors - new),
        "mean_time_per_session_s": Mean(seconds, opens, subjects=starters),
        "mean_time_per_visitor_s": Figure(round(seconds / len(visitors), 3) if visitors else None, starters, visitors),
        "mean_depth": Mean(visits.views, opens, subjects=starters),
        "shares": Count(shares.number, subjects=shares.subjects),
        "sharers": Count(len(shares.subjects), subjects=shares.subjects),
    }


def _began(question: Question, needed: Sequence[date]) -> dict[date, Visits]:
    """Of each of the days."""
    found, kinds = dict.fromkeys(needed, Visits()), kinds_of(question.program_id)
    for first, last in _read_together(needed):
        began = _began_between(question, first, last, kinds)
        found |= {day: began[day] for day in found.keys() & began.keys()}
    return found


def _read_together(needed: Sequence[date]) -> list[tuple[date, date]]:
    """First and last day; to read the days between two stretches is no more than to read around both."""
    found: list[tuple[date, date]] = []
    for first, last in stretches(needed):
        if found and first - found[-1][1] <= LOOK_AHEAD + LOOK_BACK + DAY:
            first = found.pop()[0]
        found.append((first, last))
    return found


def _began_between(question: Question, first: date, last: date, kinds: Kinds) -> dict[date, Visits]:
    of, days = period(first, last, question.zone), list(dates(first, last))
    between = edges([(day, day) for day in days], question.zone)

    def counted(events: Events) -> Sessions:
        return rows(visits(events, of), between, kinds)

    found = together(Reading(question.program_id, scanned(of), COLUMNS).each(counted))
    return {days[place - 1]: _visits(some) for place, some in found.by_place()}


def _visits(some: Sessions) -> Visits:
    return Visits(len(some.subject), int(some.views.sum()), int(some.duration.sum()), bitmap(some.subject))


def _ever(question: Question) -> BitMap64:
    parameters: dict[str, Any] = {
        "program": question.program_id,
        "ends": period(question.last, question.last, question.zone).ends,
    }
    with connection.cursor() as cursor:
        cursor.execute(EVER, parameters)
        return BitMap64(subject for (subject,) in cursor.fetchall())
