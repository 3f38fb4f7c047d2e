"""conversion: how many of those exposed to something reached a goal; never without the number exposed.

Asked: `from`, `to`, `interval` (day, week, month; weeks and months touched count whole), and
- `goal`, a name of the catalogue; `exposure`, another, or none: then any event exposes.
- a breakdown by, or a filter on, `element` (of both events' property) or `page`: an exposure and a goal belong together
  where they say the same; null where both say none.
So *click-through* is `goal: tap`, `exposure: expose`, `breakdown: element`; *registrations* are `goal: register`.
Events lie in the interval of their `corrected_at`; whose: reports.metrics.standing.

Per interval (and value):
- `exposed`: distinct subjects with an exposure. `converted`: those of them with a goal at the instant of their first exposure
  there or later, still in the interval. `conversion`: converted / exposed.
- `exposures`: such events. `goals`: goals of the exposed, at their first exposure or later. `goals_per_exposure`: may exceed 1.
A goal before the first exposure, or of somebody who was not exposed, counts nowhere. Without an exposure nothing is
defined: null.

For the gate what tells of goals rests on the converted and on the exposed who were not (0 % and 100 % would tell of
everybody). Values with fewer than k exposed subjects are `value_other`. Exposures of an event, and goals per exposure, are told as
`trends` tells the event (reports.privacy.types).
"""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np
from pyroaring import BitMap64

from consent.errors import invalid
from reports.columns.events import Events, Numbers, micros
from reports.columns.groups import alike, bitmap, changes
from reports.columns.read import Reading
from reports.metrics.calendar import KEYS, day_start, intervals, period
from reports.metrics.catalogue import type_ids
from reports.metrics.registry import Question, metric
from reports.metrics.types import types_by_day
from reports.privacy.figures import Count, Dimension, Distinct, Figure, Figures, OfType, PartCount, Row, Share, Value
from tracking.models import EventType, Page

FIELDS = ("element", "page")
ELEMENT = "e.properties ->> 'element'"
_NEVER = np.iinfo(np.int64).max

DEFINITION = (
    "Events by the local day, week (from Monday) or month of their corrected_at; weeks and months touched count whole. exposed: "
    "distinct subjects with an exposure (an event of that name; without one, any event); converted: those of them with the "
    "goal at their first exposure in the interval or later; conversion: converted / exposed. exposures, goals: the events, "
    "goals of the exposed only, from their first exposure on; goals_per_exposure may exceed 1. With a breakdown or filter "
    "exposure and goal are of the same element or page. Conversion is told where k converted and k did not. Values with fewer "
    "than k exposed in an interval are one row, value_other. Only subjects whose consent and data stand at as_of are counted: "
    "who withdrew (withdrawn_subjects), was erased or is restricted is missing, so conversion reads too high. closed false: "
    "not over for 48 h, all values are one row, and figures may still change."
)


@dataclass(frozen=True, slots=True)
class Conversion:
    """What is asked beside dates and interval. `only`: the values that a filter on `field` lets through."""

    goal: str
    exposure: str | None = None
    field: str | None = None
    only: frozenset[str] | None = None


@dataclass(frozen=True, slots=True)
class Exposed:
    """Exposures and goals of some values, and whose."""

    exposures: int = 0
    goals: int = 0
    subjects: BitMap64 = field(default_factory=BitMap64)
    converted: BitMap64 = field(default_factory=BitMap64)

    def __add__(self, other: "Exposed") -> "Exposed":
        return Exposed(
            self.exposures + other.exposures,
            self.goals + other.goals,
            self.subjects | other.subjects,
            self.converted | other.converted,
        )

    def figures(self) -> dict[str, Figure]:
        rest = self.subjects - self.converted
        rate = round(self.goals / self.exposures, 4) if self.exposures else None
        return {
            "exposed": Distinct(self.subjects),
            "converted": PartCount(len(self.converted), inside=self.converted, outside=rest),
            "conversion": Share(len(self.converted), len(self.subjects), inside=self.converted, outside=rest),
            "exposures": Count(self.exposures, subjects=self.subjects),
            "goals": PartCount(self.goals, inside=self.converted, outside=rest),
            "goals_per_exposure": Figure(rate, self.converted, rest),
        }


@metric("conversion", definition=DEFINITION, anew=1)
def conversion(question: Question) -> Figures:
    """Under the tenant's transaction. Raises Invalid `unknown_event`, `unknown_field`, `invalid_goal`."""
    asked = question.options
    if not isinstance(asked, Conversion):
        raise TypeError("a conversion needs its goal")
    found = _counted(question, asked)
    lines: list[Row | Dimension] = []
    for place, (first, last) in enumerate(intervals(question.first, question.last, question.interval), start=1):
        of, keys = period(first, last, question.zone), {KEYS[question.interval]: first.isoformat()}
        here = found.get(place, {})
        if asked.field is None:
            lines.append(Row(of, keys, here.get(None, Exposed()).figures()))
        else:
            values = {value: here.get(value, Exposed()) for value in {*here, *(asked.only or ())}}
            lines.append(Dimension(of, "value", values, keys=keys, only=asked.only))
    if asked.exposure is None:
        return Figures({"data": lines})
    of_type = dict.fromkeys(("exposures", "goals_per_exposure"), OfType(asked.exposure))
    parts = intervals(question.first, question.last, question.interval)
    return Figures({"data": lines}, of_type=of_type, types=types_by_day(question, parts[0][0], parts[-1][1]))


class Met(NamedTuple):
    """Columns, a line for what a subject met of a value (a number; 0: none) in an interval (its place, from 1)."""

    subject: Numbers
    place: Numbers
    value: Numbers
    exposures: Numbers
    goals: Numbers


def _counted(question: Question, asked: Conversion) -> Mapping[int, Mapping[Value, Exposed]]:
    """Place of the interval, from 1 -> value -> what happened."""
    types = _types(question.program_id, asked)
    goal, exposure = types[asked.goal], types.get(asked.exposure or "")
    parts = intervals(question.first, question.last, question.interval)
    begins = np.array([micros(day_start(day, question.zone)) for day, _ in parts])
    reading = Reading(
        question.program_id,
        period(parts[0][0], parts[-1][1], question.zone),
        ["type", "page"] if asked.field == "page" else ["type"],
        types=None if exposure is None else (goal, exposure),
        value=ELEMENT if asked.field == "element" else None,
    )
    met = _joined(reading.each(lambda events: _met(events, begins, goal, exposure, asked.field)))
    names = _names(question.program_id, asked, reading, met.value)
    numbers = met.value * (len(parts) + 1) + met.place
    order = np.argsort(numbers, kind="stable")
    found: dict[int, dict[Value, Exposed]] = defaultdict(dict)
    for number, where in alike(numbers[order]):
        said, place = divmod(number, len(parts) + 1)
        here, value = found[place], names.get(said)
        here[value] = here.get(value, Exposed()) + _exposed(Met._make(column[order[where]] for column in met))
    return found


def _met(events: Events, begins: Numbers, goal: int, exposure: int | None, by: str | None) -> Met:
    """Of whole subjects; `begins`: the intervals' first instants. Who was not exposed has no line."""
    place = np.searchsorted(begins, events.at, side="right")
    value: Numbers = np.zeros(len(events), np.int64) if by is None else events["page" if by == "page" else "value"]
    order = np.lexsort((value, place, events.subject))
    place, value, ordered = place[order], value[order], events.take(order)
    new = changes(ordered.subject) | changes(place) | changes(value)
    starts, line = np.flatnonzero(new), np.cumsum(new) - 1
    exposes = np.ones(len(events), bool) if exposure is None else ordered["type"] == exposure
    since = np.minimum.reduceat(np.where(exposes, ordered.at, _NEVER), starts)
    reaches = (ordered["type"] == goal) & (ordered.at >= since[line])
    met = Met(
        ordered.subject[starts],
        place[starts],
        value[starts],
        np.add.reduceat(exposes, starts, dtype=np.int64),
        np.add.reduceat(reaches, starts, dtype=np.int64),
    )
    return Met._make(column[since < _NEVER] for column in met)


def _joined(some: Sequence[Met]) -> Met:
    nobody = Met._make([np.zeros(0, np.int64)] * len(Met._fields))
    return Met._make(np.concatenate(columns) for columns in zip(nobody, *some, strict=True))


def _exposed(met: Met) -> Exposed:
    """Of one interval and value."""
    converted = met.subject[met.goals > 0]
    return Exposed(int(met.exposures.sum()), int(met.goals.sum()), bitmap(met.subject), bitmap(converted))


def _names(program_id: int, asked: Conversion, reading: Reading, said: Numbers) -> Mapping[int, Value]:
    """Of these numbers; 0 has none."""
    if asked.field == "page":
        pages = Page.objects.filter(program_id=program_id, id__in=np.unique(said).tolist())
        return dict(pages.values_list("id", "path"))
    return {} if asked.field is None else dict(enumerate(reading.texts("value")))


def _types(program_id: int, asked: Conversion) -> Mapping[str, int]:
    if asked.goal == asked.exposure:
        raise invalid("invalid_goal", "a goal is another event than the exposure", "/goal")
    found = type_ids(program_id, {"/goal": asked.goal, "/exposure": asked.exposure})
    if asked.field is None:
        return found
    pointer = "/breakdown" if asked.only is None else "/filters/0/field"
    if asked.field not in FIELDS:
        raise invalid("unknown_field", f"fields are {', '.join(sorted(FIELDS))}", pointer)
    declared = EventType.objects.filter(program_id=program_id, name__in=found).values_list("properties", flat=True)
    if asked.field == "element" and (asked.exposure is None or not all("element" in names for names in declared)):
        raise invalid("unknown_field", "exposure and goal have to be events with a property element", pointer)
    return found
