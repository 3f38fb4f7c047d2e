"""The sessions of a range as rows of arrays: which interval each began in, whose it is, and what it comes to."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, fields
from datetime import date
from zoneinfo import ZoneInfo

import numpy as np

from reports.columns.events import Flags, Numbers, micros
from reports.columns.groups import alike, changes
from reports.columns.visits import Visits
from reports.metrics.calendar import DAY, day_start
from reports.metrics.page_views import Kinds

COLUMNS = ("type", "session")
"""Of the events that `rows` takes."""


@dataclass(frozen=True, slots=True)
class Sessions:
    """A row a session. `place`: the interval of its first event, from 1; `duration`: microseconds from its first event to its last;
    `active`: whether it has an interaction."""

    place: Numbers
    subject: Numbers
    views: Numbers
    duration: Numbers
    active: Flags

    def by_place(self) -> Iterator[tuple[int, "Sessions"]]:
        """Those of each interval that has any."""
        order = np.argsort(self.place, kind="stable")
        ordered = self.take(order)
        for place, where in alike(ordered.place):
            yield place, ordered.take(where)

    def take(self, which: Numbers | Flags | slice) -> "Sessions":
        return Sessions(*(getattr(self, column.name)[which] for column in fields(self)))


def edges(parts: Sequence[tuple[date, date]], zone: ZoneInfo) -> Numbers:
    """When each of consecutive intervals begins, and the last one ends (Events.at)."""
    ends = parts[-1][1] + DAY
    return np.array([micros(day_start(day, zone)) for day in (*(first for first, _ in parts), ends)], np.int64)


def rows(visits: Visits, between: Numbers, kinds: Kinds) -> Sessions:
    """`between`: the edges of the intervals that the sessions began in."""
    at, types, starts = visits.events.at, visits.events["type"], visits.starts
    ends = np.append(starts[1:], len(at))[: len(starts)]
    viewed, active = types == kinds.view, ~np.isin(types, kinds.passive)
    return Sessions(
        np.searchsorted(between, at[starts], side="right"),
        visits.events.subject[starts],
        _number(viewed, starts, ends),
        at[ends - 1] - at[starts],
        _number(active, starts, ends) > 0,
    )


def firsts(visits: Visits, name: str, texts: Sequence[str | None]) -> Numbers:
    """Of each session the code of the first text of a column that an event of it gives, of several at one instant the first in the
    order of code points; 0 where none does. `texts`: of the codes (Reading.texts)."""
    said = np.flatnonzero(visits.events[name])
    codes, number, at = visits.events[name][said], visits.number[said], visits.events.at[said]
    first = changes(number)
    starts = np.flatnonzero(first)
    in_order = np.array(sorted(range(1, len(texts)), key=lambda code: str(texts[code])), np.int64)
    rank = np.zeros(len(texts), np.int64)
    rank[in_order] = np.arange(len(in_order))
    earliest = at == at[starts][np.cumsum(first) - 1]
    found = np.zeros(len(visits.starts), np.int64)
    if len(starts):
        lowest = np.minimum.reduceat(np.where(earliest, rank[codes], len(texts)), starts)
        found[number[starts]] = in_order[lowest]
    return found


def together(some: Iterable[Sessions]) -> Sessions:
    nothing = np.zeros(0, np.int64)
    parts = [Sessions(nothing, nothing, nothing, nothing, nothing > 0), *some]
    return Sessions(*(np.concatenate([getattr(part, column.name) for part in parts]) for column in fields(Sessions)))


def _number(flags: Flags, starts: Numbers, ends: Numbers) -> Numbers:
    """How many of each session's events have it."""
    until = np.concatenate([[0], np.cumsum(flags)])
    found: Numbers = until[ends] - until[starts]
    return found
