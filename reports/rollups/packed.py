"""The events of closed days, packed, beside the days' tallies: put, taken out, compared. Under the tenant's transaction.

A row is one subject's of one day, so that taking a subject out is deleting its rows; whoever changes a day's rows has its lock.
"""

from collections.abc import Collection, Iterable, Sequence
from datetime import date, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import numpy as np
from pyroaring import BitMap64

from consent.programs.tenancy import ask_erase_role, ask_own_role
from consent.statements import Int8s, ask, together
from reports.columns.arrays import Statement, numbers
from reports.columns.events import DAY_ZERO, Numbers, micros
from reports.columns.packed import CONTEXTS, PACKED, Packed
from reports.metrics.calendar import dates, day_start
from reports.rollups.contribution import Days

_PUT = f"""
    INSERT INTO rollup_events (program_id, day, subject_id, events, ids, numbers, elements, contexts)
    SELECT * FROM ({PACKED}) AS packed WHERE day = ANY(%(chosen)s::date[]) ORDER BY day, subject_id
"""
_TAKE_OUT = "DELETE FROM rollup_events WHERE program_id = %s AND day = ANY(%s::date[]) AND subject_id = %s"
_CLEAR = "DELETE FROM rollup_events WHERE program_id = %s AND day = ANY(%s::date[])"
# A probe a day: the key begins with it.
_HOLDING = """
    SELECT r.day FROM rollup_day r WHERE r.program_id = %(program)s AND EXISTS (
        SELECT FROM rollup_events e WHERE e.program_id = r.program_id AND e.day = r.day AND e.subject_id = %(subject)s
    )
"""
_DIFFERS = f"""
    WITH expected AS ({PACKED}),
    held AS (
        SELECT program_id, day, subject_id, events, ids, numbers, elements, contexts FROM rollup_events
        WHERE program_id = %(program)s AND day BETWEEN %(first)s AND %(last)s
    )
    SELECT EXISTS (TABLE expected EXCEPT TABLE held) OR EXISTS (TABLE held EXCEPT TABLE expected)
"""
# PostgreSQL puts the rows together, so that none of them is an object here. All aggregates have one order.
_READ = """
    SELECT array_agg(subject_id {order}), array_agg((day - %(from)s::date)::bigint {order}), array_agg(octet_length(events)::bigint {order}),
           string_agg(events, '' {order}), string_agg(ids, '' {order}),
           string_agg(CASE WHEN %(numbers)s THEN numbers END, '' {order}),
           string_agg(CASE WHEN %(elements)s THEN elements END, '' {order}),
           string_agg(CASE WHEN %(contexts)s THEN contexts END, '' {order})
    FROM rollup_events WHERE program_id = %(program)s AND {of}
"""
_OF_DAY = "day = %(day)s AND subject_id = ANY(%(subjects)s)"
_OF_SUBJECTS = """
    day = ANY(%(days)s::date[]) AND subject_id BETWEEN %(first)s AND %(last)s AND subject_id <> ALL(%(but)s::bigint[])
"""


def put(days: Days, of: Iterable[int], *, chosen: Collection[date], sent: Iterable[date] | None = None) -> None:
    """Pack the stored events of subjects, who have no row on the days chosen of these. `sent`: the UTC dates of them all."""
    ask(_PUT, {**_parameters(days, of, sent), "chosen": sorted(chosen)})


def take_out(program_id: int, subject_id: int, days: Collection[date]) -> None:
    """Nothing of the subject stays on these days. As the worker."""
    _delete(_TAKE_OUT, [program_id, sorted(days), subject_id])


def clear(program_id: int, days: Collection[date]) -> None:
    """Nothing of anybody stays on these days. As the worker."""
    _delete(_CLEAR, [program_id, sorted(days)])


def _delete(statement: str, parameters: Sequence[object]) -> None:
    with together():
        ask_erase_role()
        ask(statement, parameters)
        ask_own_role()


def holding(program_id: int, subject_id: int) -> list[date]:
    """The days on which something of the subject is packed, in whatever form."""
    return [day for (day,) in ask(_HOLDING, {"program": program_id, "subject": subject_id}).rows()]


def differ(days: Days, of: Iterable[int]) -> bool:
    """Whether the rows of the days are not what the stored events of these subjects come to."""
    return bool(ask(_DIFFERS, _parameters(days, of, None)).rows()[0][0])


def of_day(program_id: int, day: date, subjects: BitMap64, *, columns: Collection[str]) -> Statement:
    """Reads of these subjects what the columns need, as the table has it: in any order of subjects."""
    asked = {"program": program_id, "day": day, "subjects": Int8s.of(list(subjects))}
    return _READ.format(order="", of=_OF_DAY), asked | _of_columns(columns)


def of_subjects(
    program_id: int, days: Sequence[date], subjects: range, *, but: Iterable[int], columns: Collection[str]
) -> Statement:
    """The same of some subjects but some of them, by subject and day."""
    asked = {"program": program_id, "days": list(days), "first": subjects.start, "last": subjects.stop - 1}
    asked |= {"but": list(but), **_of_columns(columns)}
    return _READ.format(order="ORDER BY subject_id, day", of=_OF_SUBJECTS), asked


def _of_columns(columns: Collection[str]) -> dict[str, Any]:
    return {
        "from": DAY_ZERO,
        "numbers": not {"dwell", "scroll", "load"}.isdisjoint(columns),
        "elements": "element" in columns,
        "contexts": not set(CONTEXTS).isdisjoint(columns),
    }


def read(row: Sequence[Any], zone: ZoneInfo) -> Packed:
    """What one of these statements answers (reports.columns.arrays.ahead)."""
    subject, day, size = map(numbers, row[:3])
    return Packed(subject, _begins(day, zone), size, *(bytes(some or b"") for some in row[3:]))


def _begins(day: Numbers, zone: ZoneInfo) -> Numbers:
    """When each begins, in microseconds."""
    if not len(day):
        return day
    first, last = int(day.min()), int(day.max())
    between = dates(DAY_ZERO + timedelta(days=first), DAY_ZERO + timedelta(days=last))
    return np.array([micros(day_start(each, zone)) for each in between], np.int64)[day - first]


def _parameters(days: Days, of: Iterable[int], sent: Iterable[date] | None) -> dict[str, Any]:
    asked = {**days.parameters(), "last": days.last, "of": list(of)}
    return asked if sent is None else {**asked, "days": sorted(set(sent).intersection(asked["days"]))}
