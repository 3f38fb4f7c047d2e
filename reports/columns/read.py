"""What counts of a mini-program's events (reports.metrics.standing), in columns, some subjects at a time.

PostgreSQL hands over arrays rather than rows: whose elements have one size, so that numpy reads them where they lie, and a
million events are no million objects. It sorts once, since all aggregates ask for one order (before version 16 once for each).
"""

from collections.abc import Collection, Generator, Iterator, Mapping, Sequence
from contextlib import ExitStack, closing, contextmanager
from datetime import date
from functools import partial
from heapq import merge
from itertools import groupby
from operator import itemgetter
from typing import Any, cast
from zoneinfo import ZoneInfo

import numpy as np
import psycopg
from django.db import connection
from psycopg.adapt import Buffer, Loader
from psycopg.pq import Format
from pyroaring import BitMap64

from consent.programs.models import MiniProgram
from consent.statements import ask
from reports.columns.events import Column, Events, micros
from reports.columns.packed import unpacked
from reports.columns.said import NUMBERS, TEXTS
from reports.metrics.calendar import MOMENT, period, utc_days
from reports.metrics.standing import EVENTS
from reports.privacy.figures import Period
from reports.rollups.packed import read as read_packed
from reports.rollups.read import NOTHING, Held, stretches
from reports.rollups.read import packed as held_packed
from tracking.ingest.parse import MAX_SKEW

SUBJECT_BITS = 12
"""Ids that differ in these last bits only are read together: that many subjects at most, who have some 100,000 events."""

MEMORY = "64MB"
"""For each sort of the events."""

# The order within a subject is part of the answer, and so named in each aggregate.
_READ = """
    SELECT e.subject_id >> {bits}, {columns} FROM {events} AND ({instants}) {types} {of}
    GROUP BY e.subject_id >> {bits} ORDER BY 1
"""
_IN_ORDER = "array_agg({said} ORDER BY e.subject_id, e.corrected_at, e.event_id)"
_INSTANTS = "e.corrected_at >= %(begins_{n})s AND e.corrected_at < %(ends_{n})s"
_OF_TYPES = "AND e.type_id = ANY(%(types)s::bigint[])"
_OF_SOME = "AND e.subject_id = ANY(%(of)s::bigint[])"

_ARRAYS = (1016, 1022, 1185)
"""Of bigint, double precision and timestamptz, by PostgreSQL's object ids."""
_HEADER = 20
"""Bytes of an array in binary before its first element: dimensions, nulls, type, length, first index."""
_DOUBLE = (701).to_bytes(4, "big")


class _AsItCame(Loader):
    format = Format.BINARY

    def load(self, data: Buffer) -> bytes:
        return bytes(data)


class Reading:
    """Events of instants [begins, ends), some subjects at a time: no subject's are in two of the Events that it yields.

    `columns`: of Events, beside `subject` and `at`. `value`: the SQL of a text of `e`, for the column of that name. `types`:
    ids of the event types, None for all. Under the tenant's transaction, in which nothing else is asked meanwhile.

    What is packed of the days (reports.rollups.packed) is read from there, all but `value`, and the rest from the events: days
    that are not packed, and whoever of those packed does not count with everything.
    """

    def __init__(
        self,
        program_id: int,
        of: Period,
        columns: Collection[str],
        *,
        types: Collection[int] | None = None,
        value: str | None = None,
    ) -> None:
        said = TEXTS | ({} if value is None else {"value": value})
        wanted = ["subject", "at", *columns, *(["value"] if value is not None else [])]
        self._program_id, self._of = program_id, of
        self._numbers = {name: NUMBERS[name] for name in wanted if name in NUMBERS}
        self._texts = {name: said[name] for name in wanted if name not in NUMBERS}
        self._codes: dict[str, dict[str | None, int]] = {name: {None: 0} for name in self._texts}
        self._types = None if types is None else list(types)

    def __iter__(self) -> Iterator[Events]:
        ask(f"SET LOCAL work_mem = '{MEMORY}'")
        zone = ZoneInfo(MiniProgram.objects.values_list("zone", flat=True).get(id=self._program_id))
        held = self._held(zone)
        if not held.days:
            yield from self._streamed()
            return
        closed, others = stretches_of(self._of, held.days, zone)
        with connection.wrap_database_errors, ExitStack() as stack:
            sources = [self._unpacked(held, zone)]
            if others:
                sources.append(stack.enter_context(self._fetched("others", others, None)))
            if held.excepted:
                sources.append(stack.enter_context(self._fetched("excepted", closed, held.excepted)))
            for _, some in groupby(merge(*sources, key=itemgetter(0)), itemgetter(0)):
                yield _joined([events for _, events in some])

    def _held(self, zone: ZoneInfo) -> Held:
        if "value" in self._texts:
            return NOTHING
        return held_packed(
            self._program_id,
            zone,
            self._of.begins.astimezone(zone).date(),
            (self._of.ends - MOMENT).astimezone(zone).date(),
        )

    def _streamed(self) -> Iterator[Events]:
        with connection.wrap_database_errors, psycopg.Cursor(connection.connection) as cursor:
            _take_as_it_comes(cursor)
            # A generator, which ends the statement when it is closed.
            asked = self._asked([self._of], None)
            streamed = cast(Generator[tuple[Any, ...]], cursor.stream(*asked, binary=True))
            with closing(streamed) as rows:
                for row in rows:
                    yield self._part(row)[1]

    @contextmanager
    def _fetched(
        self, name: str, instants: Sequence[Period], of: BitMap64 | None
    ) -> Iterator[Iterator[tuple[int, Events]]]:
        """The events of some instants, and of some subjects, by part; other things are asked between one and the next."""
        ask("SET LOCAL cursor_tuple_fraction = 1")
        with psycopg.ServerCursor(connection.connection, name) as cursor:
            _take_as_it_comes(cursor)
            cursor.itersize = 1
            cursor.execute(*self._asked(instants, of), binary=True)
            yield map(self._part, cursor)

    def _unpacked(self, held: Held, zone: ZoneInfo) -> Iterator[tuple[int, Events]]:
        columns = [*self._numbers, *self._texts]
        begins, ends = micros(self._of.begins), micros(self._of.ends)
        for number in np.unique(np.array(held.subjects.to_array(), np.int64) >> SUBJECT_BITS):
            part = int(number)
            subjects = range(part << SUBJECT_BITS, part + 1 << SUBJECT_BITS)
            but = held.excepted & BitMap64(subjects)
            rows = read_packed(self._program_id, zone, held.days, subjects, but=but, columns=columns)
            events = unpacked(rows, {*columns, "type"}, partial(self._coded, "element"))
            asked = (events.at >= begins) & (events.at < ends)
            if self._types is not None:
                asked &= np.isin(events["type"], self._types)
            some = events.take(asked)
            yield part, Events({name: some[name] for name in columns})

    def texts(self, name: str) -> list[str | None]:
        """Of the column's codes, from 0 on: None, and what the events read so far say."""
        return list(self._codes[name])

    def _asked(self, instants: Sequence[Period], of: BitMap64 | None) -> tuple[str, Mapping[str, Any]]:
        """A statement and its parameters."""
        columns = [_IN_ORDER.format(said=said) for said in (*self._numbers.values(), *self._texts.values())]
        statement = _READ.format(
            columns=", ".join(columns),
            events=EVENTS,
            instants=" OR ".join(_INSTANTS.format(n=n) for n in range(len(instants))),
            types="" if self._types is None else _OF_TYPES,
            of="" if of is None else _OF_SOME,
            bits=SUBJECT_BITS,
        )
        days = {day for each in instants for day in utc_days(each, skew=MAX_SKEW)}
        asked: dict[str, Any] = {"program": self._program_id, "days": sorted(days), "types": self._types}
        for n, each in enumerate(instants):
            asked |= {f"begins_{n}": each.begins, f"ends_{n}": each.ends}
        return statement, asked if of is None else {**asked, "of": list(of)}

    def _part(self, row: tuple[Any, ...]) -> tuple[int, Events]:
        number, *arrays = row
        numbers = dict(zip(self._numbers, map(_column, arrays[: len(self._numbers)]), strict=True))
        texts = {name: self._coded(name, said) for name, said in zip(self._texts, arrays[len(numbers) :], strict=True)}
        return number, Events(numbers | texts)

    def _coded(self, name: str, said: Sequence[str | None]) -> Column:
        codes = self._codes[name]
        return np.fromiter((codes.setdefault(text, len(codes)) for text in said), np.int64, len(said))


def _take_as_it_comes(cursor: psycopg.Cursor[Any] | psycopg.ServerCursor[Any]) -> None:
    for oid in _ARRAYS:
        cursor.adapters.register_loader(oid, _AsItCame)


def stretches_of(of: Period, days: Collection[date], zone: ZoneInfo) -> tuple[list[Period], list[Period]]:
    """The instants of these local days, and the others."""
    within: list[Period] = []
    others: list[Period] = []
    reached = of.begins
    for first, last in stretches(days):
        whole = period(first, last, zone)
        within.append(Period(max(whole.begins, of.begins), min(whole.ends, of.ends)))
        others.append(Period(reached, within[-1].begins))
        reached = within[-1].ends
    others.append(Period(reached, of.ends))
    return within, [each for each in others if each.begins < each.ends]


def _joined(some: Sequence[Events]) -> Events:
    """Of the same subjects, and no two have events of one subject and instant."""
    if len(some) == 1:
        return some[0]
    events = Events({name: np.concatenate([each[name] for each in some]) for name in some[0].columns})
    return events.take(np.lexsort((events.at, events.subject)))


def _column(array: bytes) -> Column:
    kind = "f8" if array[8:12] == _DOUBLE else "i8"
    elements = np.frombuffer(array, [("length", ">i4"), ("value", f">{kind}")], offset=_HEADER)
    return elements["value"].astype(kind)
