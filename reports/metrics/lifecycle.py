"""lifecycle: who is new, who stayed, who came back and who stayed away, interval by interval.

Asked: `from`, `to` and `interval` (day, week, month; weeks and months touched count whole). A subject is *active* in a local
interval with an event of any type whose `corrected_at` lies in it; whose events: reports.metrics.standing.

`data`, a row an interval; each active subject is in one of the first four:
- `new`: their first event ever lies in it. The days on which a subject was active are remembered when the events are gone
  (purged, or collected under a consent that ended), so who was active before is not new.
- `returning`: active in the interval before too.
- `resurrected`: not active in the one before, but ever before it.
- `unknown`: not active in the one before, and it cannot be told whether ever: the first day remembered lies at the edge of
  the interval and its events are gone (a day is remembered by its UTC date as sent, which is up to 24 h off), or the
  interval begins before what is remembered at as-of (tracking.retention.remembered). For the same reason somebody who
  comes back after longer than that is new.
- `dormant`: active in the interval before, not in this one. Not observable until the interval is over.
Who is active in the interval before by events that are gone counts as not active there.

For the gate each rests on its subjects, and returning and dormant on each other's, since they part those of the interval
before. Users are told by `activity`: where one of the first four is hidden, others are until the hidden rest on k; dormant
is told where returning is.
"""

from collections import deque
from collections.abc import Iterator, Mapping
from datetime import UTC, date, datetime, time, timedelta
from itertools import pairwise
from typing import Any

import numpy as np
from django.db import connection
from pyroaring import BitMap64

from consent.statements import Int8s, ask
from reports.columns.arrays import arrays_of_numbers
from reports.columns.events import DAY_ZERO, Numbers
from reports.columns.groups import alike, bitmap
from reports.metrics.calendar import DAY, KEYS, dates, day_start, intervals, period, utc_days
from reports.metrics.registry import Question, metric
from reports.metrics.standing import EVENTS
from reports.models import RollupKind
from reports.privacy.figures import Absent, Figure, Figures, Period, Row
from reports.rollups.contribution import NOBODY, Days, Tallies, everybody
from reports.rollups.read import mostly_held, standing, who_was_there
from tracking.ingest.parse import MAX_SKEW
from tracking.retention import remembered

STATES = ("new", "returning", "resurrected", "unknown")

DEFINITION = (
    "Subjects by local day, week (from Monday) or month, by corrected_at; weeks and months touched count whole. new: first "
    "event ever in it; returning: active in the interval before too; resurrected: not in the one before but earlier; "
    "unknown: cannot be told whether earlier, because events are gone or the days before forgotten; dormant: "
    "active in the interval before and not in this one, not observable until it is over. Only subjects whose consent and "
    "data stand at as_of are counted: who withdrew (withdrawn_subjects), was erased or is restricted is missing from all "
    "intervals, so fewer seem to stay away. closed false: the figures may still change."
)

# `place` numbers the intervals from 2; 1 is the one before the first. Nothing but its days tells of a time before the scan.
LIFECYCLE = f"""
    WITH counted AS (
        SELECT e.subject_id, e.day, e.corrected_at AS at, width_bucket(e.corrected_at, %(edges)s::timestamptz[]) AS place
        FROM {EVENTS}
    ),
    known AS (
        SELECT held.subject_id, held.first_at, coalesce(days.first_day, held.first_day) AS first_day,
               held.first_day <= coalesce(days.first_day, held.first_day) AS is_held
        FROM (SELECT subject_id, min(at) AS first_at, min(day) AS first_day FROM counted GROUP BY subject_id) AS held
        LEFT JOIN (
            SELECT subject_id, min(day) AS first_day FROM subject_day WHERE program_id = %(program)s GROUP BY subject_id
        ) AS days ON days.subject_id = held.subject_id
    ),
    active AS (
        SELECT subject_id, place, (%(edges)s::timestamptz[])[place] AS begins
        FROM (SELECT DISTINCT subject_id, place FROM counted WHERE place BETWEEN 1 AND %(places)s) AS once
    )
    SELECT place,
           CASE WHEN first_at < begins OR (first_day + 2)::timestamp AT TIME ZONE 'UTC' <= begins THEN 'seen'
                WHEN begins < %(remembered)s THEN 'unknown'
                WHEN NOT is_held AND (first_day - 1)::timestamp AT TIME ZONE 'UTC' < begins THEN 'unknown'
                ELSE 'new' END,
           array_agg(a.subject_id)
    FROM active a JOIN known k ON k.subject_id = a.subject_id GROUP BY 1, 2
"""


PART_BITS = 22
"""Ids that differ in these last bits only are read together: 12 bytes each."""
ARMS = 8
"""Of a part, with as many subjects each: PostgreSQL's parallel workers take one after another."""
DAY_BITS = 16
"""A day is counted from DAY_ZERO, and stands behind its subject's id in one number: half as many are handed over."""

# Of whomever: row-level security lets this mini-program's through, and another condition for each row is 4 % of the answer.
_FIRST = """
    SELECT DISTINCT ON (d.subject_id) d.subject_id, d.day FROM subject_day d
    WHERE d.subject_id BETWEEN %(from_{arm})s AND %(to_{arm})s ORDER BY d.subject_id, d.day
"""
# Of some subjects, each by its own rows: most subjects were there before.
_FIRST_OF_SOME = """
    SELECT asked.subject_id, first.day FROM unnest(%(subjects)s) AS asked(subject_id)
    CROSS JOIN LATERAL (
        SELECT d.day FROM subject_day d
        WHERE d.subject_id = asked.subject_id AND d.program_id = %(program)s ORDER BY d.day LIMIT 1
    ) AS first
"""
_AS_ARRAY = f"SELECT array_agg((subject_id << {DAY_BITS}) + (day - %(from)s::date)) FROM ({{rows}}) AS first"
_WORKERS_ALONE = "SET LOCAL parallel_leader_participation = off"
_REMEMBERED_DAYS = "SELECT reltuples::bigint FROM pg_class WHERE oid = 'subject_day'::regclass"
LOOKED_UP = 10
"""Looking for one subject's first day takes as long as reading so many days of whomever."""
SEEN_BEFORE = 3
"""Local days before the first interval: an event before them was sent, whatever the clocks, 48 h before the second."""

States = dict[tuple[int, str], BitMap64]
"""(place of an interval, from 1, new, seen or unknown) -> those active in it."""


@metric("lifecycle", definition=DEFINITION)
def lifecycle(question: Question) -> Figures:
    """Under the tenant's transaction."""
    parts = intervals(question.first, question.last, question.interval)
    found = states_by_place(question, [_before(parts[0][0], question), *parts])
    rows = []
    for place, (first, last) in enumerate(parts, start=2):
        here = {state: found.get((place, state), BitMap64()) for state in ("new", "seen", "unknown")}
        before = BitMap64().union(*(found.get((place - 1, state), BitMap64()) for state in here))
        keys = {KEYS[question.interval]: first.isoformat()}
        of = period(first, last, question.zone)
        rows.append(Row(of, keys, _figures(here, before), STATES, {"dormant": "returning"}))
    return Figures({"data": rows})


def _figures(here: dict[str, BitMap64], before: BitMap64) -> dict[str, Figure]:
    """Each of two blocks, so that those that are hidden can be united."""
    active = here["new"] | here["seen"] | here["unknown"]
    returning, dormant = active & before, before - active
    resurrected, unknown = here["seen"] - before, here["unknown"]
    return {
        "new": Figure(len(here["new"]), here["new"], here["new"]),
        "returning": Figure(len(returning), returning, dormant),
        "resurrected": Figure(len(resurrected), resurrected, resurrected),
        "unknown": Figure(len(unknown), unknown, unknown),
        "dormant": Absent(dormant, others=returning),
    }


def _before(first: date, question: Question) -> tuple[date, date]:
    return intervals(first - DAY, first - DAY, question.interval)[0]


def states_by_place(question: Question, parts: list[tuple[date, date]]) -> States:
    """For consecutive intervals; new and unknown ones are right from the second."""
    first, last = parts[0][0] - SEEN_BEFORE * DAY, parts[-1][1]
    since = question.as_of - remembered(question.program_id, accepted=question.accepted)
    # Later than that every day with an event is remembered.
    recent = day_start(first, question.zone) > since + 10 * DAY
    if recent and mostly_held(question.program_id, question.zone, first, last, as_of=question.as_of):
        return _from_days(question, parts, standing(Days(question.program_id, question.zone, first, last)), since)
    return _from_events(question, parts, since)


def _from_days(
    question: Question, parts: list[tuple[date, date]], found: Mapping[date, Tallies], since: datetime
) -> States:
    """`found`: from SEEN_BEFORE days before the first interval on. `since`: from when on it is remembered who was active."""
    came = {day: everybody(tallies) for day, tallies in found.items()}
    ever = BitMap64().union(*(some for day, some in came.items() if day < parts[0][0]))
    first_times: list[BitMap64] = []
    states: States = {}
    for place, (first, last) in enumerate(parts, start=1):
        active = BitMap64().union(*(came[day] for day in dates(first, last) if day in came))
        first_times.append(active - ever if place > 1 else BitMap64())
        states[place, "seen"] = active - first_times[-1]
        ever |= active
    # Who is in the rollup of a day long before was seen then, whether they count or not.
    earliest = since.date() + 10 * DAY
    there = who_was_there(question.program_id, question.zone, earliest, parts[0][0] - (SEEN_BEFORE + 1) * DAY)
    by_first_day = _by_first_day(question.program_id, BitMap64().union(*first_times) - there)
    for place, some in enumerate(first_times, start=1):
        begins = day_start(parts[place - 1][0], question.zone)
        while by_first_day and _midnight(by_first_day[0][0]) + 2 * DAY <= begins:
            there |= by_first_day.popleft()[1]
        gone = BitMap64()
        for day, subjects in by_first_day:
            if _midnight(day) - DAY >= begins:
                break
            gone |= _gone(question, day, subjects & some, found)
        seen = some & there
        states[place, "seen"] |= seen
        states[place, "unknown"] = gone - seen
        states[place, "new"] = some - seen - gone
    return states


def _midnight(day: date) -> datetime:
    return datetime.combine(day, time.min, tzinfo=UTC)


def _by_first_day(program_id: int, subjects: BitMap64) -> deque[tuple[date, BitMap64]]:
    """By the first UTC date as sent that is remembered of each, in order; others may be there, too."""
    if not subjects:
        return deque()
    ((remembered,),) = ask(_REMEMBERED_DAYS).rows()
    asked = {"program": program_id, "from": DAY_ZERO}
    if len(subjects) * LOOKED_UP > remembered:
        read = [each for arms in _parts(subjects) for each in _read_beside(arms, asked)]
    else:
        read = _read(_FIRST_OF_SOME, asked | {"subjects": Int8s.of(list(subjects))})
    found = np.concatenate(read)
    day = found & (1 << DAY_BITS) - 1
    # Numbers of 16 bits are sorted without comparing any.
    order = np.argsort(day.astype(np.uint16), kind="stable")
    whose, day = found[order] >> DAY_BITS, day[order]
    return deque((DAY_ZERO + timedelta(days=number), bitmap(whose[where])) for number, where in alike(day))


def _read(rows: str, asked: Mapping[str, Any]) -> list[Numbers]:
    return arrays_of_numbers(_AS_ARRAY.format(rows=rows), asked)


def _read_beside(arms: list[tuple[int, int]], asked: Mapping[str, Any]) -> list[Numbers]:
    """The first days of the subjects in these ranges of ids, read beside each other where PostgreSQL has workers for it."""
    # It would take a range beside as many workers as there are processors, and all would wait for it. Without workers it reads them all.
    ask(_WORKERS_ALONE)
    rows = []
    for arm, (first, last) in enumerate(arms):
        rows.append(_AS_ARRAY.format(rows=_FIRST.format(arm=arm)))
        asked = {**asked, f"from_{arm}": first, f"to_{arm}": last}
    return arrays_of_numbers(" UNION ALL ".join(rows), asked)


def _parts(subjects: BitMap64) -> Iterator[list[tuple[int, int]]]:
    """Ranges of ids (first, last) in which they all lie, about as many in each: what is read at once, and again."""
    size = 1 << PART_BITS
    for first in range(subjects.min() >> PART_BITS << PART_BITS, subjects.max() + 1, size):
        before, here = subjects.range_cardinality(0, first), subjects.range_cardinality(first, first + size)
        if here:
            begins = sorted({subjects[before + here * arm // ARMS] for arm in range(ARMS)})
            yield [(begin, after - 1) for begin, after in pairwise([*begins, first + size])]


def _gone(question: Question, day: date, subjects: BitMap64, found: Mapping[date, Tallies]) -> BitMap64:
    """Whose events of a UTC date as sent do not count, or are there no more."""
    near = [found.get(day + n * DAY, {}).get((RollupKind.SUBJECT.value, -n), NOBODY).subjects for n in range(-2, 3)]
    missing = subjects - BitMap64().union(*near)
    if not missing:
        return missing
    # Few; of those some sent it under a date that another day's events have.
    with connection.cursor() as cursor:
        asked: dict[str, Any] = {"program": question.program_id, "days": [day], "subjects": list(missing)}
        cursor.execute(f"SELECT DISTINCT e.subject_id FROM {EVENTS} AND e.subject_id = ANY(%(subjects)s)", asked)
        return missing - BitMap64(row[0] for row in cursor.fetchall())


def _from_events(question: Question, parts: list[tuple[date, date]], since: datetime) -> States:
    whole = period(parts[0][0], parts[-1][1], question.zone)
    # A first day whose events the scan does not hold ended, whatever the clocks, before the second interval.
    scanned = Period(whole.begins - timedelta(hours=48), whole.ends)
    parameters: dict[str, Any] = {
        "program": question.program_id,
        "edges": _edges(question, parts),
        "places": len(parts),
        "remembered": since,
        "days": utc_days(scanned, skew=MAX_SKEW),
    }
    with connection.cursor() as cursor:
        cursor.execute(LIFECYCLE, parameters)
        return {(place, state): BitMap64(subjects) for place, state, subjects in cursor.fetchall()}


def _edges(question: Question, parts: list[tuple[date, date]]) -> list[datetime]:
    return [day_start(day, question.zone) for day in (*(first for first, _ in parts), parts[-1][1] + DAY)]
