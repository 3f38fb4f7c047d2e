"""The events of closed days, packed, beside the days' tallies: put, taken out, compared. Under the tenant's transaction.

A row is one subject's of one day, so that taking a subject out is deleting its rows; whoever changes a day's rows has its lock.
"""

from collections.abc import Collection, Iterable, Sequence
from datetime import date
from typing import Any
from zoneinfo import ZoneInfo

import numpy as np

from consent.programs.tenancy import ask_erase_role, ask_own_role
from consent.statements import ask, together
from reports.columns.events import micros
from reports.columns.packed import PACKED, Packed
from reports.metrics.calendar import dates, day_start
from reports.rollups.contribution import Days

_PUT = f"""
    INSERT INTO rollup_events (program_id, day, subject_id, events, ids, numbers, elements)
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
        SELECT program_id, day, subject_id, events, ids, numbers, elements FROM rollup_events
        WHERE program_id = %(program)s AND day BETWEEN %(first)s AND %(last)s
    )
    SELECT EXISTS (TABLE expected EXCEPT TABLE held) OR EXISTS (TABLE held EXCEPT TABLE expected)
"""
# PostgreSQL puts the rows together, so that none of them is an object here: of each a _HEAD, and all bytes in one.
_READ = """
    SELECT string_agg(
               int8send(subject_id) || int4send(day - %(from)s::date) || int4send(octet_length(events)),
               '' ORDER BY subject_id, day
           ),
           string_agg(events, '' ORDER BY subject_id, day),
           string_agg(ids, '' ORDER BY subject_id, day),
           string_agg(CASE WHEN %(numbers)s THEN numbers END, '' ORDER BY subject_id, day),
           string_agg(CASE WHEN %(elements)s THEN elements END, '' ORDER BY subject_id, day)
    FROM rollup_events
    WHERE program_id = %(program)s AND day = ANY(%(days)s::date[]) AND subject_id BETWEEN %(first)s AND %(last)s
      AND subject_id <> ALL(%(but)s::bigint[])
"""
_HEAD = np.dtype([("subject", ">i8"), ("day", ">i4"), ("size", ">i4")])


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


def read(
    program_id: int,
    zone: ZoneInfo,
    days: Sequence[date],
    subjects: range,
    *,
    but: Iterable[int],
    columns: Collection[str],
) -> Packed:
    """Of these subjects but some, by subject and day, what the columns need. `days`: in their order."""
    asked = {
        "program": program_id,
        "days": list(days),
        "from": days[0],
        "first": subjects.start,
        "last": subjects.stop - 1,
        "but": list(but),
        "numbers": not {"dwell", "scroll", "load"}.isdisjoint(columns),
        "elements": "element" in columns,
    }
    (row,) = ask(_READ, asked).rows()
    heads, *streams = (bytes(some or b"") for some in row)
    rows = np.frombuffer(heads, _HEAD)
    begins = np.array([micros(day_start(day, zone)) for day in dates(days[0], days[-1])], np.int64)
    return Packed(rows["subject"].astype(np.int64), begins[rows["day"]], rows["size"].astype(np.int64), *streams)


def _parameters(days: Days, of: Iterable[int], sent: Iterable[date] | None) -> dict[str, Any]:
    asked = {**days.parameters(), "last": days.last, "of": list(of)}
    return asked if sent is None else {**asked, "days": sorted(set(sent).intersection(asked["days"]))}
