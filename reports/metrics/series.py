"""A daily series of a mini-program, as other reports tell it; for those that judge or continue it.

`measure`, of the local days of the zone:
- `subjects`: distinct subjects with an event; `events`: of all types; `sessions`: begun on the day. They are `activity`'s.
- with `event`, a name of the catalogue: those of this type alone, as in `trends`; sessions are of all events.
A day that other reports suppress is suppressed here: of a closed day an event is answered from the rows of all types, as there.

A history for a fit is made of what the gate let through. It begins with the first day that is more than 0: before a
mini-program's first day there is nothing to learn. A day that is not told takes the value of a week before, is counted as
filled (told with the answer) and is neither judged nor scored; a history begins anew after one that has no week before it.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Literal

from pyroaring import BitMap64

from consent.errors import invalid
from reports.metrics.activity import day_of
from reports.metrics.calendar import dates, period
from reports.metrics.catalogue import by_name, type_ids
from reports.metrics.registry import Question
from reports.metrics.seasons import SEASON
from reports.metrics.tallies import NONE, Tallied
from reports.privacy.cells import Cell, Status, closed
from reports.privacy.figures import Dimension, Figure, Row, Value
from reports.rollups.contribution import Days, Tallies
from reports.rollups.read import standing

Measure = Literal["subjects", "events", "sessions"]
NAMES = {"subjects": "dau", "events": "events", "sessions": "sessions"}
LEAST = 5 * SEASON
"""Days that a fit needs."""
FILLED = 0.1
"""Of a history's days, how many may be filled."""


@dataclass(frozen=True, slots=True)
class Series:
    measure: Measure = "subjects"
    event: str | None = None


@dataclass(frozen=True, slots=True)
class Past:
    """A history, without a gap, that ends with the last day it was made of. `told`: false where a day is filled."""

    values: Sequence[float]
    told: Sequence[bool]

    @property
    def filled(self) -> int:
        return len(self.told) - sum(self.told)

    @property
    def full_of_gaps(self) -> bool:
        return self.filled > FILLED * len(self.told)


@dataclass(frozen=True, slots=True)
class Typed:
    """A day's events of some types."""

    measure: Measure
    events: Tallied

    @property
    def subjects(self) -> BitMap64:
        return self.events.subjects

    def __add__(self, other: "Typed") -> "Typed":
        return Typed(self.measure, self.events + other.events)

    def figures(self) -> dict[str, Figure]:
        return {"value": self.events.figures()[self.measure]}


def daily(question: Question, asked: Series, first: date, last: date) -> list[Row | Dimension]:
    """A line a local date, with `value`. Under the tenant's transaction. Raises Invalid `unknown_event`, `event_unavailable`."""
    if asked.event is not None and asked.measure == "sessions":
        raise invalid("event_unavailable", "sessions are of all events; leave event out", "/event")
    type_ids(question.program_id, {"/event": asked.event})
    sessions = (first, last) if asked.measure == "sessions" else None
    types = () if asked.event is None else None
    found = standing(Days(question.program_id, question.zone, first, last, sessions, types))
    if asked.event is None:
        return [
            Row(period(day, day, question.zone), _keys(day), {"value": _of_all(found.get(day, {}), asked.measure)})
            for day in dates(first, last)
        ]
    named = by_name(question.program_id, found)
    return [_of_event(question, asked, asked.event, day, named.get(day, {})) for day in dates(first, last)]


def _keys(day: date) -> dict[str, str]:
    return {"date": day.isoformat()}


def _of_all(tallies: Tallies, measure: Measure) -> Figure:
    return day_of(tallies).counts()[NAMES[measure]]


def _of_event(
    question: Question, asked: Series, event: str, day: date, found: Mapping[Value, Tallied]
) -> Row | Dimension:
    of = period(day, day, question.zone)
    parts: dict[Value, Typed] = {name: Typed(asked.measure, tallied) for name, tallied in found.items()}
    if event not in parts or not closed(of, question.as_of):
        alone = parts.get(event, Typed(asked.measure, NONE))
        return Row(of, _keys(day), alone.figures())
    return Dimension(of, "event", parts, keys=_keys(day), only=frozenset([event]))


def past(cells: Sequence[Cell]) -> Past:
    values: list[float] = []
    told: list[bool] = []
    for cell in cells:
        is_told = cell.status is Status.OK
        if not values and not (is_told and cell.value):
            continue
        if not is_told and len(values) < SEASON:
            values, told = [], []
            continue
        values.append(cell.value if is_told else values[-SEASON])
        told.append(is_told)
    return Past(values, told)
