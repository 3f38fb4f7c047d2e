"""Figures that were told stand: the same question later is answered with what it was answered before (docs/adr/0021-frozen-figures.md).

A line of a closed period is kept as it was first told, by what it is about and not by the range it was asked in, so that other
ranges, another form and another table of the same report tell the same. It is revised where k distinct subjects have joined or
left it (reports.privacy.revisions), otherwise it stays, and whoever was erased, withdrew or came late cannot be told from two
answers to it. Of two who ask at once one is first, and both are told that answer.
"""

import hashlib
from collections.abc import Container, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, NamedTuple, Protocol, runtime_checkable

import msgspec
from django.db import connection

from consent.programs.tenancy import role, tenant
from reports.models import FrozenLine
from reports.privacy.cells import closed
from reports.privacy.dimensions import SUPPRESSED
from reports.privacy.ranges import OF_ANY_REPORT
from reports.privacy.released import Line, Released
from reports.privacy.revisions import kept, may_be_revised, told

SAME_TABLE = {"previous": "data", "day_before": "data", "week_before": "data", "month_before": "data"}
"""Tables whose rows are those of another range of the same report."""

SAID_BY_PERIOD = {"date", "week", "month", "cohort", "compared"}

_NEW = """
    INSERT INTO frozen_line (program_id, key, told, revision, ends)
    SELECT %s, key, told, 1, ends FROM unnest(%s::bytea[], %s::text[], %s::timestamptz[]) AS new(key, told, ends)
    ORDER BY key ON CONFLICT DO NOTHING
"""
_LOCKED = "SELECT FROM frozen_line WHERE program_id = %s AND key = ANY(%s::bytea[]) ORDER BY key FOR UPDATE"
# What was computed before the revision that stands now is no news to it.
_REVISED = """
    UPDATE frozen_line f SET told = new.told, revision = f.revision + 1
    FROM unnest(%s::bytea[], %s::text[], %s::int[]) AS new(key, told, seen)
    WHERE f.program_id = %s AND f.key = new.key AND f.revision = new.seen
"""
_OVER = """
    DELETE FROM frozen_line
    WHERE program_id = %s AND key IN (SELECT key FROM frozen_line WHERE program_id = %s AND ends < %s LIMIT %s)
"""


class Standing(NamedTuple):
    """What is kept of a line."""

    told: str
    revision: int


@dataclass(frozen=True, slots=True)
class Asked:
    """A question to a mini-program, without its dates. `about`: what else makes its figures what they are, as JSON has it."""

    program_id: int
    zone: str
    k: int
    about: Sequence[Any]

    def key(self, line: Line) -> bytes:
        about = (line.cell,) if line.cell in OF_ANY_REPORT else self.about
        keys = {name: value for name, value in line.keys.items() if name not in SAID_BY_PERIOD}
        table = SAME_TABLE.get(line.table, line.table)
        named = [self.zone, self.k, about, table, list(line.periods), keys, line.cell]
        return hashlib.sha256(msgspec.json.encode(named, order="deterministic")).digest()


@runtime_checkable
class KeptAs(Protocol):
    """Options that others are the same as."""

    def kept_as(self) -> object:
        """The same for all that ask for the same lines: nothing of what adds lines, or cells that are lines of their own, nor
        of what is worked out of told ones."""
        ...


def about(*parts: object, options: object) -> list[Any]:
    """For `Asked`."""
    said = options.kept_as() if isinstance(options, KeptAs) else options
    return [*parts, msgspec.to_builtins(said, order="deterministic")]


@dataclass(frozen=True, slots=True)
class Seen:
    """An answer, and what stood of its closed lines in the snapshot it was computed in."""

    asked: Asked
    fresh: Released
    keys: Mapping[int, bytes]
    """id() of each line that may be kept."""
    standing: Mapping[bytes, Standing]


def seen(asked: Asked, fresh: Released, *, as_of: datetime) -> Seen:
    """Within the snapshot of the figures. With k = 1, where nobody is to be hidden, nothing is kept."""
    lines = _lines(fresh) if fresh.k > 1 else ()
    keys = {id(line): asked.key(line) for line in lines if all(closed(period, as_of) for period in line.periods)}
    return Seen(asked, fresh, keys, _standing(asked.program_id, keys.values()) if keys else {})


def _lines(fresh: Released) -> tuple[Line, ...]:
    return (*fresh.lines, *fresh.of_totals)


def settled(answer: Seen) -> tuple[Released, int]:
    """What is told instead, and its revision: 1, and one more for each time that one of its lines was revised.

    After the snapshot, in transactions of its own. A total is told for the first time, or revised, only while each line of the
    table it sums up is told as it is computed now: otherwise the total less the lines would tell who joined or left.
    """
    fresh = answer.fresh
    lines = _settled(answer, fresh.lines)
    totals = _settled(answer, fresh.of_totals, _behind(fresh, lines))
    revision = 1 + sum(revision - 1 for _, revision in (*lines, *totals))
    return replace(fresh, lines=[line for line, _ in lines], of_totals=[line for line, _ in totals]), revision


def _behind(fresh: Released, lines: Sequence[tuple[Line, int]]) -> set[str]:
    """The names of what the summed table's lines are told as they stood, and not as they are computed now."""
    pairs = zip(fresh.lines, (line for line, _ in lines), strict=True)
    changed = [(now, line) for now, line in pairs if now.table == fresh.summed and kept(now) != kept(line)]
    return {name for pair in changed for line in pair for _, row in line.rows for name in row.cells}


def _settled(answer: Seen, lines: Sequence[Line], behind: Container[str | None] = ()) -> list[tuple[Line, int]]:
    """Each as it is told, and its revision; those named in `behind` as they stood, or hidden."""
    stands, k = dict(answer.standing), answer.fresh.k
    keyed = [(line, answer.keys.get(id(line))) for line in lines]
    texts = {
        key: kept(line) for line, key in keyed if key is not None and line.cell not in behind and not line.withheld
    }
    new = {key: text for key, text in texts.items() if key not in stands}
    due = {
        key: text
        for key, text in texts.items()
        if key in stands and text != stands[key].told and may_be_revised(stands[key].told, text, k)
    }
    if new or due:
        stands |= _written(answer, new, due)
    return [
        _as_told(line, stands.get(key) if key else None, texts.get(key) if key else None, hidden=line.cell in behind)
        for line, key in keyed
    ]


def _as_told(line: Line, stands: Standing | None, now: str | None, *, hidden: bool) -> tuple[Line, int]:
    """`now`: as it is computed, where that was worked out. Most lines stand as they are computed, and some have many rows."""
    if stands is not None:
        return line if stands.told == now else told(line, stands.told), stands.revision
    if not hidden:
        return line, 1
    rows = [(table, replace(row, cells=dict.fromkeys(row.cells, SUPPRESSED))) for table, row in line.rows]
    return replace(line, rows=rows), 1


def _written(answer: Seen, new: Mapping[bytes, str], due: Mapping[bytes, str]) -> dict[bytes, Standing]:
    """What stands then, whoever was first. Rows in the order of their keys, so that no two wait for each other."""
    program_id = answer.asked.program_id
    ends = {
        answer.keys[id(line)]: max(period.ends for period in line.periods)
        for line in _lines(answer.fresh)
        if id(line) in answer.keys
    }
    seen = [answer.standing[key].revision for key in due]
    with tenant(program_id):
        with connection.cursor() as cursor:
            cursor.execute(_NEW, [program_id, list(new), list(new.values()), [ends[key] for key in new]])
            cursor.execute(_LOCKED, [program_id, list(due)])
            cursor.execute(_REVISED, [list(due), list(due.values()), seen, program_id])
        return _standing(program_id, [*new, *due])


def _standing(program_id: int, keys: Iterable[bytes]) -> dict[bytes, Standing]:
    """Under the tenant."""
    found = FrozenLine.objects.filter(program_id=program_id, key__in=set(keys))
    return {
        bytes(key): Standing(text, revision) for key, text, revision in found.values_list("key", "told", "revision")
    }


def forget(program_id: int, *, before: datetime, limit: int) -> int:
    """Delete lines of periods that ended before, so many at most; answers how many. Under the tenant, as the worker."""
    with role("zq_erase"), connection.cursor() as cursor:
        cursor.execute(_OVER, [program_id, program_id, before, limit])
        return int(cursor.rowcount)
