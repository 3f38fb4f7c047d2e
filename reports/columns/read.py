"""What counts of a mini-program's events (reports.metrics.standing), in columns, some subjects at a time.

PostgreSQL hands over arrays rather than rows: whose elements have one size, so that numpy reads them where they lie, and a
million events are no million objects. It sorts once, since all aggregates ask for one order (before version 16 once for each).
"""

from collections.abc import Callable, Collection, Generator, Iterator, Mapping, Sequence
from contextlib import ExitStack, closing, contextmanager
from datetime import date, timedelta
from functools import cached_property
from heapq import merge
from itertools import groupby
from operator import itemgetter
from threading import Lock
from typing import Any, TypeVar, cast
from zoneinfo import ZoneInfo

import numpy as np
import psycopg
from django.db import connection
from pyroaring import BitMap64

from consent.programs.models import MiniProgram
from consent.statements import ask
from reports.columns.arrays import Statement, ahead, column, take_as_it_comes
from reports.columns.events import Events, Numbers, micros
from reports.columns.packed import unpacked
from reports.columns.said import NUMBERS, TEXTS
from reports.metrics.calendar import MOMENT, period, utc_days
from reports.metrics.standing import EVENTS
from reports.privacy.figures import Period
from reports.rollups.days import by_type as held_by_type
from reports.rollups.days import number_of
from reports.rollups.packed import of_day, of_subjects
from reports.rollups.packed import read as read_packed
from reports.rollups.read import NOTHING, Held, stretches
from reports.rollups.read import packed as held_packed
from tracking.ingest.parse import MAX_SKEW

SUBJECT_BITS = 12
"""Ids that differ in these last bits only are read together, or in fewer where these subjects have more than AT_ONCE events."""

AT_ONCE = 1 << 18
"""Events; some 100 bytes each while they are counted."""

FEW = 1 << 20
"""So many events, of some types, are held all at once."""

FULLEST = 1 << 22
"""Then a day is unpacked at once that has so many events of any type: 11 bytes each, and some 50 while they are looked through."""

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


Made = TypeVar("Made")


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
        # What is packed is read in a thread of its own.
        self._coding = Lock()
        self._types = None if types is None else list(types)

    def __iter__(self) -> Generator[Events]:
        return self.read()

    def each(self, make: Callable[[Events], Made], *, whom: Mapping[date, BitMap64] | None = None) -> list[Made]:
        """What is made of each of the Events, in their order. Once this is over nothing is read any more, also where `make` raises: a
        thread that still did would ask within somebody else's transaction."""
        with closing(self.read(whom)) as parts:
            return [make(events) for events in parts]

    def read(self, whom: Mapping[date, BitMap64] | None = None) -> Generator[Events]:
        """`whom`: those whose events are needed of each day of `held`; of others on these days some may be there, or none."""
        ask(f"SET LOCAL work_mem = '{MEMORY}'")
        held, zone = self.held, self._zone
        if not held.days:
            yield from self._streamed()
            return
        closed, others = stretches_of(self._of, held.days, zone)
        with connection.wrap_database_errors, ExitStack() as stack:
            few = self._few(others)
            packed = self._by_day(held, whom) if few else self._by_part(held)
            sources: list[Iterator[tuple[int, Events]]] = [stack.enter_context(closing(packed))]
            if others:
                sources.append(stack.enter_context(self._fetched("others", others, None)))
            if held.excepted:
                sources.append(stack.enter_context(self._fetched("excepted", closed, held.excepted)))
            part = _one if few else itemgetter(0)
            for _, some in groupby(merge(*sources, key=part), part):
                yield _joined([events for _, events in some])

    def _few(self, others: Sequence[Period]) -> bool:
        """Whether all events may be held at once: then nothing has to be sorted to be read. Of the `others` no tallies tell; they
        are to be no longer than what is packed."""
        held, beside = self.held, sum((each.ends - each.begins for each in others), timedelta(0))
        if self._types is None or held.fullest > FULLEST or beside > timedelta(days=len(held.days)):
            return False
        return number_of(self._program_id, held.days, self._types) <= FEW

    @cached_property
    def held(self) -> Held:
        """What of this is packed, and is read from there."""
        if "value" in self._texts:
            return NOTHING
        first, last = self._of.begins, self._of.ends - MOMENT
        return held_packed(
            self._program_id, self._zone, first.astimezone(self._zone).date(), last.astimezone(self._zone).date()
        )

    @cached_property
    def _bits(self) -> int:
        """As many as have AT_ONCE events together, if all had as many as they have on average."""
        if not self.held.number:
            return SUBJECT_BITS
        subjects = max(1, AT_ONCE * len(self.held.subjects) // self.held.number)
        return min(SUBJECT_BITS, subjects.bit_length() - 1)

    @cached_property
    def _zone(self) -> ZoneInfo:
        return ZoneInfo(MiniProgram.objects.values_list("zone", flat=True).get(id=self._program_id))

    def _streamed(self) -> Iterator[Events]:
        with connection.wrap_database_errors, psycopg.Cursor(connection.connection) as cursor:
            take_as_it_comes(cursor)
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
            take_as_it_comes(cursor)
            cursor.itersize = 1
            cursor.execute(*self._asked(instants, of), binary=True)
            yield map(self._part, cursor)

    def _by_day(self, held: Held, whom: Mapping[date, BitMap64] | None) -> Generator[tuple[int, Events]]:
        """What is packed, as one part."""
        theirs = dict.fromkeys(held.days, BitMap64())
        for (day, _), some in held_by_type(self._program_id, held.days, self._types or []).items():
            theirs[day] = theirs[day] | some
        asked = {day: (some if whom is None else some & whom[day]) - held.excepted for day, some in theirs.items()}
        statements = (of_day(self._program_id, day, some, columns=self._columns) for day, some in asked.items() if some)
        with closing(ahead(statements, self._unpacked)) as days:
            events = _concatenated([self._nothing, *days])
        # One day after the other, and in each a subject's are in their order.
        yield 0, events.take(np.argsort(events.subject, kind="stable"))

    def _by_part(self, held: Held) -> Generator[tuple[int, Events]]:
        """The same of some subjects after others."""
        parts = np.unique(np.array(held.subjects.to_array(), np.int64) >> self._bits).tolist()
        statements = (self._of_part(held, part) for part in parts)
        with closing(ahead(statements, self._unpacked)) as found:
            yield from zip(parts, found, strict=True)

    def _of_part(self, held: Held, part: int) -> Statement:
        subjects = range(part << self._bits, part + 1 << self._bits)
        but = held.excepted & BitMap64(subjects)
        return of_subjects(self._program_id, held.days, subjects, but=but, columns=self._columns)

    def _unpacked(self, row: tuple[Any, ...]) -> Events:
        """Days are packed whole, and of them only some instants may be asked for."""
        events = unpacked(read_packed(row, self._zone), self._columns, self._coded, types=self._types)
        within = (events.at >= micros(self._of.begins)) & (events.at < micros(self._of.ends))
        return events if within.all() else events.take(within)

    @property
    def _nothing(self) -> Events:
        return Events({name: np.zeros(0, np.int64) for name in self._columns})

    @property
    def _columns(self) -> list[str]:
        return [*self._numbers, *self._texts]

    def texts(self, name: str) -> list[str | None]:
        """Of the column's codes, from 0 on: None, and what the events read so far say."""
        with self._coding:
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
            bits=self._bits,
        )
        days = {day for each in instants for day in utc_days(each, skew=MAX_SKEW)}
        asked: dict[str, Any] = {"program": self._program_id, "days": sorted(days), "types": self._types}
        for n, each in enumerate(instants):
            asked |= {f"begins_{n}": each.begins, f"ends_{n}": each.ends}
        return statement, asked if of is None else {**asked, "of": list(of)}

    def _part(self, row: tuple[Any, ...]) -> tuple[int, Events]:
        number, *arrays = row
        numbers = dict(zip(self._numbers, map(column, arrays[: len(self._numbers)]), strict=True))
        texts = {name: self._coded(name, said) for name, said in zip(self._texts, arrays[len(numbers) :], strict=True)}
        return number, Events(numbers | texts)

    def _coded(self, name: str, said: Sequence[str | None]) -> Numbers:
        codes = self._codes[name]
        with self._coding:
            return np.fromiter((codes.setdefault(text, len(codes)) for text in said), np.int64, len(said))


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


def _one(_: tuple[int, Events]) -> int:
    """Everybody's part."""
    return 0


def _joined(some: Sequence[Events]) -> Events:
    """Of the same subjects, and no two have events of one subject and instant."""
    if len(some) == 1:
        return some[0]
    events = _concatenated(some)
    return events.take(np.lexsort((events.at, events.subject)))


def _concatenated(some: Sequence[Events]) -> Events:
    return Events({name: np.concatenate([each[name] for each in some]) for name in some[0].columns})
