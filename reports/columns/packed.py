"""Events of a subject and a local day as bytes: packed by PostgreSQL, unpacked by numpy, and none of them an object.

A record has 11 bytes: of the event's time (Events.at) the low 40 bits, which come again after 12 days; of its type's id the low
16, of its page's the low 24, and FLAGS, which say what of it stands elsewhere, one value after the other in the events' order:
among the ids, 8 bytes each, and the numbers, floats of 8, and the elements and contexts, UTF-8 that ends with a zero. So no id is
too long, and nothing is kept where there is nothing. A session's id, a scene, and what an event ran on are kept where they are
others than those of the event before.
"""

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from reports.columns.events import Column, Events, Flags, Floats, Numbers
from reports.columns.said import NUMBERS, TEXTS

LAYOUT = 2
"""Another number for another way of packing, hashes of session ids included: days that were packed in the old one are packed
again (reports.models.RollupDay.layout)."""

RECORD = 11
_TIME_BITS, _TYPE_BITS, _PAGE_BITS, _FLAG_BITS = 40, 16, 24, 8
_PAGE_FROM = _FLAG_BITS
_TYPE_FROM = _PAGE_FROM + _PAGE_BITS
_REST_BITS = _TYPE_FROM + _TYPE_BITS

SWITCHED, FURTHER, DWELL, SCROLL, LOAD, ELEMENT, SCENE, DEVICE = (1 << bit for bit in range(_FLAG_BITS))
"""FLAGS: the session is another than before (at first: than none), whose hash is among the ids; the rest of the type's and the
page's id are; dwell, scroll depth and load time are numbers; an element is among them; the scene is another than before, and os
or app_version is (at first: than none), which are among the contexts."""

CONTEXTS: Final = ("scene", "os", "app_version")
"""The columns that are kept among the contexts."""

_BETWEEN: Final = "\x1f"
"""os and app_version, of which none has such a character (tracking.ingest.screen); no text, nor a scene, is empty."""
_NOT_SAID = f"chr({ord(_BETWEEN)})"

PACKED = f"""
    WITH counted AS (
        SELECT e.subject_id, e.corrected_at, e.event_id, {NUMBERS["type"]} AS type, {NUMBERS["page"]} AS page,
               {NUMBERS["session"]} AS session, {NUMBERS["dwell"]} AS dwell, {NUMBERS["scroll"]} AS scroll,
               {NUMBERS["load"]} AS load, {TEXTS["element"]} AS element, coalesce({TEXTS["scene"]}, '') AS scene,
               coalesce({TEXTS["os"]}, '') || {_NOT_SAID} || coalesce({TEXTS["app_version"]}, '') AS device,
               width_bucket(e.corrected_at, %(edges)s::timestamptz[]) AS place
        FROM event e JOIN event_type t ON t.id = e.type_id
        WHERE e.program_id = %(program)s AND e.day = ANY(%(days)s::date[]) AND e.subject_id = ANY(%(of)s::bigint[])
          AND e.corrected_at >= %(begins)s AND e.corrected_at < %(ends)s
    ),
    flagged AS (
        SELECT place, subject_id, corrected_at, event_id, type, page, session, dwell, scroll, load, element, scene, device,
               (type >> {_TYPE_BITS} <> 0 OR page >> {_PAGE_BITS} <> 0)::int * {FURTHER} + (dwell <> -1)::int * {DWELL}
               + (scroll <> 'NaN')::int * {SCROLL} + (load <> 'NaN')::int * {LOAD} + (element IS NOT NULL)::int * {ELEMENT}
               + (session <> lag(session, 1, 0::bigint) OVER before)::int * {SWITCHED}
               + (scene <> lag(scene, 1, '') OVER before)::int * {SCENE}
               + (device <> lag(device, 1, {_NOT_SAID}) OVER before)::int * {DEVICE} AS flags
        FROM counted WINDOW before AS (PARTITION BY subject_id, place ORDER BY corrected_at, event_id)
    )
    SELECT %(program)s::int AS program_id, %(first)s::date + place - 1 AS day, subject_id,
           string_agg(
               substring(timestamptz_send(corrected_at) FROM {8 - _TIME_BITS // 8 + 1})
               || substring(int8send(((type & {(1 << _TYPE_BITS) - 1}) << {_TYPE_FROM})
                                     + ((page & {(1 << _PAGE_BITS) - 1}) << {_PAGE_FROM}) + flags)
                            FROM {8 - _REST_BITS // 8 + 1}),
               '' ORDER BY corrected_at, event_id
           ) AS events,
           string_agg(
               CASE WHEN flags & {SWITCHED} <> 0 THEN int8send(session) ELSE '' END
               || CASE WHEN flags & {FURTHER} <> 0
                  THEN int8send(type >> {_TYPE_BITS}) || int8send(page >> {_PAGE_BITS}) ELSE '' END,
               '' ORDER BY corrected_at, event_id
           ) FILTER (WHERE flags & {SWITCHED | FURTHER} <> 0) AS ids,
           string_agg(
               CASE WHEN flags & {DWELL} <> 0 THEN float8send(dwell) ELSE '' END
               || CASE WHEN flags & {SCROLL} <> 0 THEN float8send(scroll) ELSE '' END
               || CASE WHEN flags & {LOAD} <> 0 THEN float8send(load) ELSE '' END,
               '' ORDER BY corrected_at, event_id
           ) FILTER (WHERE flags & {DWELL | SCROLL | LOAD} <> 0) AS numbers,
           string_agg(convert_to(element, 'UTF8') || '\\x00', '' ORDER BY corrected_at, event_id)
               FILTER (WHERE flags & {ELEMENT} <> 0) AS elements,
           string_agg(
               CASE WHEN flags & {SCENE} <> 0 THEN convert_to(scene, 'UTF8') || '\\x00' ELSE '' END
               || CASE WHEN flags & {DEVICE} <> 0 THEN convert_to(device, 'UTF8') || '\\x00' ELSE '' END,
               '' ORDER BY corrected_at, event_id
           ) FILTER (WHERE flags & {SCENE | DEVICE} <> 0) AS contexts
    FROM flagged GROUP BY subject_id, place
"""
"""(program_id, day, subject_id, events, ids, numbers, elements, contexts) of stored events. Parameters: those of reports.rollups.Days, and
`of`: whose."""

# Both fields reach into the other one: neither has a width of numpy's.
_RECORD: Final = np.dtype(
    {"names": ["at", "rest"], "formats": [">u8", ">u8"], "offsets": [0, RECORD - 8], "itemsize": RECORD}
)
_NUMBERS: Final = {"dwell": DWELL, "scroll": SCROLL, "load": LOAD}

Coder = Callable[[str, Sequence[str | None]], Numbers]
"""From a column's name and texts to their codes; 0 of None."""


@dataclass(frozen=True, slots=True)
class Packed:
    """Rows one after another: of each the subject, when its day begins, and the bytes of its events; the rest of all of them."""

    subject: Numbers
    begins: Numbers
    size: Numbers
    events: bytes
    ids: bytes
    numbers: bytes
    elements: bytes
    contexts: bytes


def unpacked(packed: Packed, columns: Collection[str], coder: Coder, *, types: Collection[int] | None = None) -> Events:
    """In the order of the rows, with `subject`, `at` and the columns asked for: any but `value`. `types`: ids; None for all."""
    records = np.frombuffer(packed.events, _RECORD)
    number = packed.size // RECORD
    rest = records["rest"].astype(np.int64)
    found = _ids(rest, packed, number, {*columns, "type"} if types is not None else columns)
    if not _NUMBERS.keys().isdisjoint(columns):
        found |= _numbers(_flags(rest), np.frombuffer(packed.numbers, ">f8").astype(np.float64))
    if "element" in columns:
        found["element"] = _elements(_flags(rest), packed.elements, coder)
    if not set(CONTEXTS).isdisjoint(columns):
        for name, (switched, values) in _contexts(_flags(rest), packed.contexts).items():
            if name in columns:
                found[name] = _lasting(switched, coder(name, values), number)
    row, low = np.repeat(np.arange(len(number)), number), records["at"]
    if types is not None:
        asked = np.flatnonzero(_any_of(found["type"], types))
        row, low = row[asked], low[asked]
        found = {name: column[asked] for name, column in found.items()}
    begins = packed.begins[row]
    # The bits that were kept are those of the sum, whose higher ones are those of the day's beginning, or one more.
    found["at"] = begins + ((low >> (64 - _TIME_BITS)).astype(np.int64) - begins & (1 << _TIME_BITS) - 1)
    found["subject"] = packed.subject[row]
    return Events({name: column for name, column in found.items() if name in {"subject", "at", *columns}})


def _any_of(column: Column, ids: Collection[int]) -> Flags:
    found = np.zeros(len(column), bool)
    for one in ids:
        found |= column == one
    return found


def _flags(rest: Numbers) -> Numbers:
    found: Numbers = rest & (1 << _FLAG_BITS) - 1
    return found


def _flagged(flags: Numbers, flag: int) -> Flags:
    found: Flags = flags & flag != 0
    return found


def _places(flags: Numbers, widths: dict[int, int]) -> Numbers:
    """Where each event's values begin, of which there are so many for a flag."""
    width = sum((_flagged(flags, flag) * wide for flag, wide in widths.items()), np.zeros(len(flags), np.int64))
    return np.cumsum(width) - width


def _ids(rest: Numbers, packed: Packed, number: Numbers, columns: Collection[str]) -> dict[str, Column]:
    """Of `type`, `page` and `session` what is asked for. `number`: of each row's events."""
    found: dict[str, Column] = {}
    if "type" in columns:
        found["type"] = rest >> _TYPE_FROM & (1 << _TYPE_BITS) - 1
    if "page" in columns:
        found["page"] = rest >> _PAGE_FROM & (1 << _PAGE_BITS) - 1
    if "session" not in columns and not np.bitwise_or.reduce(rest, initial=0) & FURTHER:
        return found
    further = _flagged(rest, FURTHER)
    flags, ids = _flags(rest), np.frombuffer(packed.ids, ">i8").astype(np.int64)
    place = _places(flags, {SWITCHED: 1, FURTHER: 2})
    after = place[further] + _flagged(flags[further], SWITCHED)
    for name, bits, behind in (("type", _TYPE_BITS, 0), ("page", _PAGE_BITS, 1)):
        if name in found:
            found[name][further] += ids[after + behind] << bits
    if "session" in columns:
        switched = _flagged(flags, SWITCHED)
        found["session"] = _lasting(switched, ids[place[switched]], number)
    return found


def _lasting(switched: Flags, values: Numbers, number: Numbers) -> Numbers:
    """Each event's, where those that are flagged have the values; none before a row's first. `number`: of each row's events."""
    so_far = np.cumsum(switched)
    firsts = np.cumsum(number) - number
    before = np.repeat(so_far[firsts] - switched[firsts], number)
    return np.where(so_far > before, np.concatenate(([0], values))[so_far], 0)


def _numbers(flags: Numbers, values: Floats) -> dict[str, Column]:
    place = _places(flags, dict.fromkeys(_NUMBERS.values(), 1))
    found: dict[str, Column] = {}
    for name, flag in _NUMBERS.items():
        there = _flagged(flags, flag)
        column = np.full(len(flags), np.nan)
        column[there] = values[place[there]]
        place = place + there
        found[name] = column
    found["dwell"] = np.nan_to_num(found["dwell"], nan=-1).astype(np.int64)
    return found


def _elements(flags: Numbers, elements: bytes, coder: Coder) -> Column:
    column = np.zeros(len(flags), np.int64)
    column[_flagged(flags, ELEMENT)] = coder("element", _texts(elements))
    return column


def _contexts(flags: Numbers, contexts: bytes) -> dict[str, tuple[Flags, list[str | None]]]:
    """Of each column which events have another than before, and what they have."""
    texts, place = _texts(contexts), _places(flags, {SCENE: 1, DEVICE: 1})
    entered, ran = _flagged(flags, SCENE), _flagged(flags, DEVICE)
    scenes = [texts[n] or None for n in place[entered].tolist()]
    devices = [texts[n].split(_BETWEEN, 1) for n in (place[ran] + entered[ran]).tolist()]
    return {
        "scene": (entered, scenes),
        "os": (ran, [os or None for os, _ in devices]),
        "app_version": (ran, [version or None for _, version in devices]),
    }


def _texts(ended: bytes) -> list[str]:
    """Of UTF-8 each of which ends with a zero."""
    return ended.decode().split("\0")[:-1]
