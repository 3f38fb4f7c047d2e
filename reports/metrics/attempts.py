"""The attempts of a funnel, all of some subjects at once: which events each of them takes for its steps.

reports.metrics.funnel says by what rules. Here events stand in a *line*, one subject after the other, each one's in the order
of time and event id: so "the first event at this instant or later" is the next one of its kind from a *place* in the line,
found by bisection among the places of that kind. No clock time is compared but for the window.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from reports.columns.events import Events, Numbers
from reports.columns.groups import changes

EXCLUDED, OTHER = -1, -2
"""Kinds of events that are no step: those that end an attempt, and all others."""


@dataclass(frozen=True, slots=True)
class Rules:
    """What makes an attempt and a step. `steps`: their kinds, from 0 on in the order in which they are named first.

    An attempt opens before `ends`, by an event of the first step (`unordered`: of any), and has `window`; its window is over
    before `as_of`, else it is open. Microseconds, as the events' times. `last`: it is the last value that it is known by.
    """

    steps: Sequence[int]
    window: int
    ends: int
    as_of: int
    strict: bool = False
    unordered: bool = False
    last: bool = False


@dataclass(frozen=True, slots=True)
class Chosen:
    """The attempts that count, one a subject: whose, known by which value (0: none), and after how many microseconds it took
    each step, a line a step (-1: it did not). `open`: whose each open attempt is."""

    subject: Numbers
    value: Numbers
    took: Numbers
    open: Numbers


def chosen(events: Events, kind: Numbers, value: Numbers, rules: Rules) -> Chosen:
    """Of whole subjects. `kind`: of each event, the step's or EXCLUDED or OTHER; `value`: what it says, 0 for nothing."""
    line = Line.of(events, kind, rules.steps)
    opens = (kind >= 0 if rules.unordered else kind == rules.steps[0]) & (events.at < rules.ends)
    over = events.at + rules.window < rules.as_of
    openings = np.flatnonzero(opens & over)
    best = furthest(line, (in_any_order if rules.unordered else in_order)(line, openings, rules))
    took = np.where(best == line.nothing, -1, line.at[best] - line.at[best[0]])
    return Chosen(line.subject[best[0]], touched(value, best, last=rules.last), took, events.subject[opens & ~over])


def joined(found: Sequence[Chosen], steps: int) -> Chosen:
    """Of all subjects; `steps`: how many."""
    nobody = np.zeros(0, np.int64)
    return Chosen(
        np.concatenate([nobody, *(some.subject for some in found)]),
        np.concatenate([nobody, *(some.value for some in found)]),
        np.concatenate([np.zeros((steps, 0), np.int64), *(some.took for some in found)], axis=1),
        np.concatenate([nobody, *(some.open for some in found)]),
    )


@dataclass(frozen=True, slots=True)
class Line:
    """n events of whole subjects, in the order of subject, time and event id; after them, at place n, stands *nothing*.

    `subject` and `at` (microseconds), of n + 1 each. `instant`: numbers the subject and instant of each from 0 on, and so
    ascends along the line. `starts`: the place of the first event of each instant. `places`: of the events of each kind.
    """

    subject: Numbers
    at: Numbers
    instant: Numbers
    starts: Numbers
    places: dict[int, Numbers]

    @classmethod
    def of(cls, events: Events, kind: Numbers, steps: Sequence[int]) -> "Line":
        new = changes(events.subject) | changes(events.at)
        starts = np.append(np.flatnonzero(new), len(events))
        instant = np.append(np.cumsum(new) - 1, len(starts) - 1)
        places = {one: np.append(np.flatnonzero(kind == one), len(events)) for one in {*steps, EXCLUDED}}
        return cls(np.append(events.subject, -1), np.append(events.at, 0), instant, starts, places)

    @property
    def nothing(self) -> int:
        return len(self.at) - 1

    def following(self, kind: int, earliest: Numbers) -> Numbers:
        """The place of the first event of a kind from each of some places on, of whichever subject."""
        places = self.places[kind]
        return places[np.searchsorted(places, earliest)]

    def limits(self, openings: Numbers, window: int) -> Numbers:
        """The last moment at which each attempt, by the place of its opening event, may take a step."""
        limits = self.at[openings] + window
        ended = self.following(EXCLUDED, self.starts[self.instant[openings] + 1])
        own = self.subject[ended] == self.subject[openings]
        limits[own] = np.minimum(limits[own], self.at[ended[own]] - 1)
        return limits


def in_order(line: Line, openings: Numbers, rules: Rules) -> Numbers:
    """The places of the events that attempts take: a line a step, a column for each opening event; `nothing` where none."""
    steps = rules.steps
    taken = np.full((len(steps), len(openings)), line.nothing)
    taken[0] = openings
    limits = line.limits(openings, rules.window)
    going = np.arange(len(openings))
    for n, kind in enumerate(steps[1:], start=1):
        before = taken[n - 1, going]
        earliest = line.starts[line.instant[before]]
        alike = [m for m in range(n) if steps[m] == kind]
        if alike:
            earliest = np.maximum(earliest, taken[alike[-1], going] + 1)
        found = line.following(kind, earliest)
        got = (line.subject[found] == line.subject[before]) & (line.at[found] <= limits[going])
        if rules.strict:
            got &= line.instant[found] <= line.instant[before] + 1
        going = going[got]
        taken[n, going] = found[got]
    return taken


def in_any_order(line: Line, openings: Numbers, rules: Rules) -> Numbers:
    """As `in_order`, of attempts that take of each kind the first events there are, as many as it has steps."""
    taken = np.full((len(rules.steps), len(openings)), line.nothing)
    limits = line.limits(openings, rules.window)
    latest: dict[int, Numbers] = {}
    # By kind: events of one instant are in the order in which the steps were named.
    for n, kind in enumerate(sorted(rules.steps)):
        earliest = np.minimum(latest[kind] + 1, line.nothing) if kind in latest else line.starts[line.instant[openings]]
        latest[kind] = found = line.following(kind, earliest)
        got = (line.subject[found] == line.subject[openings]) & (line.at[found] <= limits)
        taken[n, got] = found[got]
    order = np.argsort(line.instant[taken], axis=0, kind="stable")
    return np.take_along_axis(taken, order, axis=0)


def furthest(line: Line, taken: Numbers) -> Numbers:
    """Of each subject the attempt that took most steps, the first of those that did."""
    whose, steps = line.subject[taken[0]], np.count_nonzero(taken != line.nothing, axis=0)
    best = np.lexsort((-steps, whose))
    return taken[:, best[changes(whose[best])]]


def touched(values: Numbers, taken: Numbers, *, last: bool) -> Numbers:
    """The first, or the last, value (0: none) of the events of each attempt; `values`: of the whole line."""
    said = np.append(values, 0)[taken[::-1] if last else taken]
    found: Numbers = np.take_along_axis(said, np.argmax(said != 0, axis=0, keepdims=True), axis=0)[0]
    return found
