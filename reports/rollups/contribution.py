"""contribution: what some days' events come to, as a sum over subjects; of all of them, or of some.

The one query that builds a day, tells what an erasure subtracts, and answers where there is no rollup. Sessions are told
of the local day of their first event (reports.metrics.session), and so rest on events of up to three days before.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import date
from typing import Any
from zoneinfo import ZoneInfo

from django.db import connection
from pyroaring import BitMap64

from reports.metrics.calendar import DAY, dates, day_start, period, utc_days
from reports.metrics.session import LOOK_BACK, STARTS
from reports.metrics.standing import EVENTS, SUBJECT_STANDS
from reports.models import RollupKind
from reports.privacy.figures import Period
from tracking.ingest.parse import MAX_SKEW

Key = tuple[str, int]
"""A kind, and what of it: of events their type's id, of subjects how many days after the local day their events' UTC date
as sent is, of sessions 0."""
SESSIONS: Key = (RollupKind.SESSION.value, 0)

SHARD_BITS = 16
"""Ids that differ in these last bits only are of one shard, and of one container of a Roaring bitmap."""

_OF_PROGRAM = "WHERE e.program_id = %(program)s AND e.day = ANY(%(days)s::date[])"
STANDING = EVENTS
"""Events that figures count now."""
STORED = f"event e {_OF_PROGRAM}"
KEPT = f"event e JOIN subject s ON s.subject_id = e.subject_id AND {SUBJECT_STANDS} {_OF_PROGRAM}"
"""Events that a rollup is built of: a consent may end or come later, but nothing is made of what may only be stored."""

# `place` numbers the local days from 1: `edges` are the instants at which they begin, and the end of the last. Subjects are
# grouped before days, so that each shard counts its own.
_COUNTED = """
    counted AS (
        SELECT e.subject_id, e.corrected_at, e.session_id, e.type_id, e.day,
               width_bucket(e.corrected_at, %(edges)s::timestamptz[]) AS place
        FROM {events} AND e.day = ANY(%(counted_on)s::date[])
          AND e.corrected_at >= %(begins)s AND e.corrected_at < %(ends)s {of}
    )
"""
# Of the three days looked back to only what may go on in the first one asked: all of it would be sorted with the rest.
_VISITED = f"""
    asked AS (
        SELECT subject_id, corrected_at, session_id, place FROM counted
        WHERE place >= %(sessions_from)s AND corrected_at < %(visits_until)s
    ),
    visited AS (
        SELECT * FROM asked
        UNION ALL
        SELECT e.subject_id, e.corrected_at, e.session_id, 0
        FROM {{events}} AND e.corrected_at >= %(looked_back)s AND e.corrected_at < %(visits_from)s {{of}} AND EXISTS (
            SELECT FROM asked a
            WHERE a.subject_id = e.subject_id AND coalesce(a.session_id, '') = coalesce(e.session_id, '')
        )
    ),
    {STARTS}
"""
_CONTRIBUTED = {
    RollupKind.SUBJECT: f"""
        SELECT place, '{RollupKind.SUBJECT.value}' AS kind, (day - (%(first)s::date + place - 1))::bigint AS key,
               subject_id, count(*) AS number
        FROM counted GROUP BY place, day, subject_id
    """,
    RollupKind.EVENT: f"""
        SELECT place, '{RollupKind.EVENT.value}', type_id, subject_id, count(*)
        FROM counted WHERE (%(types)s::bigint[] IS NULL OR type_id = ANY(%(types)s::bigint[]))
        GROUP BY place, type_id, subject_id
    """,
    RollupKind.SESSION: f"""
        SELECT place, '{RollupKind.SESSION.value}', 0, subject_id, count(*)
        FROM starts WHERE place >= %(sessions_from)s GROUP BY place, subject_id
    """,
}
_BY_SHARD = f"""
    SELECT place, kind, key, subject_id >> {SHARD_BITS}, sum(number)::bigint, array_agg(subject_id)
    FROM contributed GROUP BY 1, 2, 3, 4
"""
_OF_EACH = "SELECT place, kind, key, number, subject_id FROM contributed"


@dataclass(frozen=True, slots=True)
class Tally:
    """How many, and whose."""

    number: int
    subjects: BitMap64

    def __add__(self, other: "Tally") -> "Tally":
        return Tally(self.number + other.number, self.subjects | other.subjects)


NOBODY = Tally(0, BitMap64())
Tallies = dict[Key, Tally]
"""Of a day; a key of nobody is not there."""
Parts = dict[tuple[str, int, int], Tally]
"""Of a day, by kind, key and shard."""


@dataclass(frozen=True, slots=True)
class Days:
    """Local dates of a mini-program, both inclusive, and what is wanted of them beside the subjects.

    `sessions`: the first and last date whose sessions are; `types`: the event types whose events are, None for all.
    """

    program_id: int
    zone: ZoneInfo
    first: date
    last: date
    sessions: tuple[date, date] | None = None
    types: tuple[int, ...] | None = ()

    @property
    def kinds(self) -> list[RollupKind]:
        wanted = {RollupKind.EVENT: self.types != (), RollupKind.SESSION: self.sessions is not None}
        return [kind for kind in RollupKind if wanted.get(kind, True)]

    def parameters(self) -> dict[str, Any]:
        """Of the query. `days` names the partitions, `counted_on` those of them that are not only looked back to."""
        whole = period(self.first, self.last, self.zone)
        # None, unless sessions are asked for.
        looked_back, visits = whole.begins, Period(whole.begins, whole.begins)
        since, until = self.sessions or (self.last, self.first - DAY)
        since, until = max(since, self.first), min(until, self.last)
        if since <= until:
            visits = period(since, until, self.zone)
            looked_back = visits.begins - LOOK_BACK
        return {
            "program": self.program_id,
            "first": self.first,
            "edges": [day_start(day, self.zone) for day in dates(self.first, self.last + DAY)],
            "begins": whole.begins,
            "ends": whole.ends,
            "looked_back": looked_back,
            "visits_from": visits.begins,
            "visits_until": visits.ends,
            "sessions_from": (since - self.first).days + 1,
            "types": self.types if self.types is None else list(self.types),
            "counted_on": utc_days(whole, skew=MAX_SKEW),
            "days": utc_days(Period(min(looked_back, whole.begins), whole.ends), skew=MAX_SKEW),
        }


def whole(program_id: int, zone: ZoneInfo, first: date, last: date) -> Days:
    """Everything that a rollup holds of the days."""
    return Days(program_id, zone, first, last, (first, last), types=None)


def contribution(days: Days, events: str, *, of: Iterable[int] | None = None) -> dict[date, Tallies]:
    """By day, of all subjects or of some. `events`: STANDING, STORED or KEPT."""
    return {day: united(found) for day, found in parts(days, events, of=of).items()}


def parts(days: Days, events: str, *, of: Iterable[int] | None = None) -> dict[date, Parts]:
    """The same by shard, as it is stored."""
    found: dict[date, Parts] = {}
    for place, kind, key, shard, number, subjects in _rows(days, events, _BY_SHARD, of):
        found.setdefault(days.first + (place - 1) * DAY, {})[kind, key, shard] = Tally(number, BitMap64(subjects))
    return found


def of_each(days: Days, of: Iterable[int], *, sent: Iterable[date] | None = None) -> list[tuple[date, Key, int, int]]:
    """What the stored events of some subjects come to: (day, key, number, subject). `sent`: the UTC dates of them all."""
    rows = _rows(days, STORED, _OF_EACH, of, sent)
    return [(days.first + (place - 1) * DAY, (kind, key), number, who) for place, kind, key, number, who in rows]


def _rows(
    days: Days, events: str, wanted: str, of: Iterable[int] | None, sent: Iterable[date] | None = None
) -> list[tuple[Any, ...]]:
    parameters = days.parameters()
    if of is not None:
        parameters["of"] = list(of)
    if sent is not None:
        parameters["days"] = sorted(set(sent).intersection(parameters["days"]))
    with connection.cursor() as cursor:
        cursor.execute(_statement(days, events, of_some=of is not None) + wanted, parameters)
        found: list[tuple[Any, ...]] = cursor.fetchall()
    return found


def _statement(days: Days, events: str, *, of_some: bool) -> str:
    of = "AND e.subject_id = ANY(%(of)s::bigint[])" if of_some else ""
    wanted = [_COUNTED, _VISITED] if days.sessions else [_COUNTED]
    ctes = ", ".join(cte.format(events=events, of=of) for cte in wanted)
    contributed = " UNION ALL ".join(_CONTRIBUTED[kind] for kind in days.kinds)
    return f"WITH {ctes}, contributed AS ({contributed})"


def united(found: Parts) -> Tallies:
    """Of all shards."""
    by_key: dict[Key, list[Tally]] = {}
    for (kind, key, _), tally in found.items():
        by_key.setdefault((kind, key), []).append(tally)
    return {
        key: Tally(sum(t.number for t in some), BitMap64().union(*(t.subjects for t in some)))
        for key, some in by_key.items()
    }


def without(tally: Tally, number: int, subjects: BitMap64) -> Tally:
    return replace(tally, number=tally.number - number, subjects=tally.subjects - subjects)


def active(tallies: Mapping[Key, Tally]) -> Tally:
    """Events of any type: how many, and who has one. Nobody contributes anything else without one."""
    some = [tally for (kind, _), tally in tallies.items() if kind == RollupKind.SUBJECT]
    return Tally(sum(tally.number for tally in some), BitMap64().union(*(tally.subjects for tally in some)))


def everybody(tallies: Mapping[Key, Tally]) -> BitMap64:
    return active(tallies).subjects
