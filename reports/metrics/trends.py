"""trends: how often something happened, by how many subjects, and how much of it, interval by interval.

Asked: `from`, `to`, `interval` (day, week, month; weeks and months touched count whole), and
- `event`: a name of the catalogue; left out, any event. `property`: one of its numbers.
- a breakdown by one field, or a filter on one; never both, nor two, in threshold mode: `event`, `scene`, `page`, a field
  of the common context (os, app_version, device_level, network, channel), or `properties.NAME`, a boolean property of the
  event or one with an enum.
- `compare`: `previous`, the same number of intervals before, in the table `previous`.
An event lies in the interval of its `corrected_at`. Whose events: reports.metrics.standing.

Per interval, and per value of the breakdown (None where the event has none):
- `events`, distinct `subjects`, `events_per_subject`. Subjects are never summed over intervals or values.
- of a property: `known`, events that have it as a number; `sum`, `mean`, `p90` over these.
Without a breakdown every interval is there, also where nothing happened; with one, the values that occur.

For the gate a cell rests on the interval's, or the value's, subjects; those of a property on the subjects who have it and
apart on those with events that do not have it. Values with fewer than k subjects in an interval are `value_other` there.
A filter is answered from the breakdown's rows; and so is `event`, in a closed interval: any event less each but one would
tell of that one. An event by another field, or filtered by one, is told where it is told by itself (reports.privacy.types). The p90: reports.privacy.bins, from NUMBERS.
"""

from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date
from decimal import Decimal
from itertools import pairwise
from typing import Any, NamedTuple, Self

import numpy as np
from django.db import connection
from pyroaring import BitMap64

from consent.errors import invalid
from reports.columns.events import Events
from reports.columns.groups import bitmap, changes
from reports.columns.packed import CONTEXTS
from reports.columns.read import Reading
from reports.metrics.bands import NUMBERS, bin_of, number_of
from reports.metrics.calendar import DAY, KEYS, Interval, dates, day_start, intervals, period, utc_days
from reports.metrics.catalogue import by_name
from reports.metrics.registry import Question, metric
from reports.metrics.standing import EVENTS
from reports.metrics.tallies import Tallied, whose
from reports.metrics.types import types_by_day
from reports.metrics.visited import edges
from reports.privacy.bins import quantiles, summed
from reports.privacy.cells import closed
from reports.privacy.figures import (
    Count,
    Dimension,
    Distinct,
    Figure,
    Figures,
    Known,
    OfType,
    PerSubject,
    Row,
    Value,
)
from reports.rollups.contribution import Days, Tally, active
from reports.rollups.read import standing
from tracking.ingest.parse import MAX_SKEW
from tracking.ingest.screen import CONTEXT
from tracking.models import EventType, Page

PROPERTY = "properties."
FIELDS = {"event": "t.name", "scene": "e.scene", "page": "e.page_id::text"} | {
    name: f"e.context ->> '{name}'" for name in CONTEXT
}
"""Field -> SQL of its value; of a page, its id."""
IN_COLUMNS = ("page", *CONTEXTS)
"""Fields that are columns of the events, packed of closed days."""

OF_EVENTS = ("events", "subjects", "events_per_subject", "known")
"""Figures that tell how much there was of the event asked for."""

DEFINITION = (
    "Events by the local day, week (from Monday) or month of their corrected_at; weeks and months touched count whole. "
    "subjects: distinct, never summed. known: events that have the property as a number; sum, mean, p90: over these. p90: "
    "the middle of a fixed bin that holds k subjects; p90_bin are its edges, between which the true value lies (null: "
    "open, the lower one is told). Values with fewer than k subjects in an interval are one row, value_other; a filter tells "
    "what the breakdown's rows tell. previous: the same number of intervals before. Only subjects whose consent and data "
    "stand at as_of are counted: who withdrew (withdrawn_subjects), was erased or is restricted is missing. closed "
    "false: not over for 48 h, all values are one row, and figures may still change."
)

# A subject's events of an interval, value and bin are counted first, so that each shard counts its own.
TRENDS = """
    WITH counted AS (
        SELECT e.subject_id, {value} AS value, {number} AS number,
               width_bucket(e.corrected_at, %(edges)s::timestamptz[]) AS place
        FROM {events} AND e.corrected_at >= %(begins)s AND e.corrected_at < %(ends)s
         AND (%(type)s::bigint IS NULL OR e.type_id = %(type)s::bigint)
    ),
    of_subject AS (
        SELECT place, value, {bin} AS bin, subject_id, count(*) AS events, sum(number) AS total
        FROM counted GROUP BY 1, 2, 3, 4
    )
    SELECT place, {shown}, bin, sum(events)::bigint, coalesce(sum(total), 0), array_agg(o.subject_id)
    FROM of_subject o {named} GROUP BY 1, 2, 3
"""


@dataclass(frozen=True, slots=True)
class Trends:
    """What is asked beside dates and interval. `only`: the values that a filter on `field` lets through."""

    event: str | None = None
    property: str | None = None
    field: str | None = None
    only: frozenset[str] | None = None
    compare: bool = False

    def kept_as(self) -> "Trends":
        """reports.frozen.about: an event is the same figure however it is named."""
        event, field, only = self.event, self.field, self.only
        if field is None and event is not None:
            field, only = "event", frozenset([event])
        if field == "event" and only is not None and len(only) == 1 and event in (None, *only):
            (event,) = only
        return Trends(event, self.property, field, only)


class Alike(NamedTuple):
    """Events whose property lies in one bin (None: they do not have it); `total` is its sum."""

    bin: int | None
    events: int
    total: Decimal
    subjects: BitMap64


@dataclass(frozen=True, slots=True)
class Happened:
    """Events of an interval and some values."""

    alike: tuple[Alike, ...]
    measured: bool

    @property
    def subjects(self) -> BitMap64:
        return whose(self.alike)

    def __add__(self, other: Self) -> "Happened":
        return Happened(self.alike + other.alike, self.measured)

    def figures(self) -> dict[str, Figure]:
        subjects, events = self.subjects, sum(one.events for one in self.alike)
        figures: dict[str, Figure] = {
            "events": Count(events, subjects=subjects),
            "subjects": Distinct(subjects),
            "events_per_subject": PerSubject(events, subjects),
        }
        return figures | self._of_property() if self.measured else figures

    def _of_property(self) -> dict[str, Figure]:
        having = [one for one in self.alike if one.bin is not None]
        rests = whose(having), whose(one for one in self.alike if one.bin is None)
        known, total = sum(one.events for one in having), float(sum(one.total for one in having))
        return {
            "known": Known(known, *rests),
            "sum": Known(total, *rests),
            "mean": Known(total / known if known else None, *rests),
            **quantiles(NUMBERS, summed((one.bin, one.events, one.subjects) for one in having), {"p90": 0.9}),
        }


@metric("trends", definition=DEFINITION, anew=1)
def trends(question: Question) -> Figures:
    """Under the tenant's transaction. Raises Invalid `unknown_event`, `unknown_property`, `unknown_field`."""
    asked = question.options if isinstance(question.options, Trends) else Trends()
    type_id = type_of(question.program_id, asked)
    if asked.event is not None and asked.field is None:
        asked, type_id = replace(asked, field="event", only=frozenset([asked.event])), None
    parts = intervals(question.first, question.last, question.interval)
    earlier = _before(parts, question.interval) if asked.compare else []
    found = counted(question, asked, earlier + parts, type_id)
    lines = [_line(question, asked, part, found[n]) for n, part in enumerate(earlier + parts, start=1)]
    tables = {"data": lines[len(earlier) :]}
    if asked.compare:
        tables["previous"] = lines[: len(earlier)]
    if type_id is None:
        return Figures(tables)
    # Nothing but events of the type, by whatever values: together they are all there are.
    assert asked.event is not None, "a type is asked for by its name"
    of_type = {name: OfType(asked.event, "subjects" if name == "subjects" else "events") for name in OF_EVENTS}
    whole = [*earlier, *parts]
    return Figures(tables, of_type=of_type, types=types_by_day(question, whole[0][0], whole[-1][1]))


def _line(
    question: Question, asked: Trends, part: tuple[date, date], found: Mapping[Value, list[Alike]]
) -> Row | Dimension:
    of = period(*part, question.zone)
    keys = {KEYS[question.interval]: part[0].isoformat()}
    measured = asked.property is not None
    # An event is one figure whether it is named or filtered (`kept_as`).
    alone = (
        asked.kept_as().event if asked.field == "event" and asked.only is not None and len(asked.only) == 1 else None
    )
    if asked.field is None or (alone and (alone not in found or not closed(of, question.as_of))):
        return Row(of, keys, Happened(tuple(found.get(alone, ())), measured).figures())
    values = {*found, *(asked.only or ())}
    tallies = {value: Happened(tuple(found.get(value, ())), measured) for value in values}
    return Dimension(of, "value", tallies, keys=keys, only=asked.only)


def _before(parts: list[tuple[date, date]], by: Interval) -> list[tuple[date, date]]:
    """As many intervals, ending where these begin."""
    earlier: list[tuple[date, date]] = []
    for _ in parts:
        last = (earlier or parts)[0][0] - DAY
        earlier = intervals(last, last, by) + earlier
    return earlier


def counted(
    question: Question, asked: Trends, parts: list[tuple[date, date]], type_id: int | None
) -> Mapping[int, Mapping[Value, list[Alike]]]:
    """Place of the interval, from 1 -> value -> its events."""
    if asked.property is None and (asked.field == "event" or (asked.field is None and type_id is None)):
        return _by_day(question, parts, by_event=asked.field == "event", type_id=type_id)
    if asked.property is None and asked.field in IN_COLUMNS:
        return _by_column(question, parts, asked.field, type_id)
    whole = period(parts[0][0], parts[-1][1], question.zone)
    pages = asked.field == "page"
    statement = TRENDS.format(
        events=EVENTS,
        value=FIELDS.get(asked.field or "", "e.properties ->> %(field)s::text" if asked.field else "NULL::text"),
        number=number_of("%(property)s::text") if asked.property else "NULL::numeric",
        bin=bin_of("number", "numbers"),
        shown="p.path" if pages else "value",
        named="LEFT JOIN page p ON p.id = value::bigint" if pages else "",
    )
    parameters: dict[str, Any] = {
        "program": question.program_id,
        "edges": [day_start(day, question.zone) for day in (*(first for first, _ in parts), parts[-1][1] + DAY)],
        "begins": whole.begins,
        "ends": whole.ends,
        "days": utc_days(whole, skew=MAX_SKEW),
        "type": type_id,
        "field": (asked.field or "").removeprefix(PROPERTY),
        "property": asked.property,
        "numbers": list(NUMBERS),
    }
    found: dict[int, dict[Value, list[Alike]]] = defaultdict(lambda: defaultdict(list))
    with connection.cursor() as cursor:
        cursor.execute(statement, parameters)
        for place, value, place_of_bin, events, total, subjects in cursor.fetchall():
            found[place][value].append(Alike(place_of_bin, events, total, BitMap64(subjects)))
    return found


def _by_column(
    question: Question, parts: list[tuple[date, date]], name: str, type_id: int | None
) -> Mapping[int, Mapping[Value, list[Alike]]]:
    """The same of a field that is a column."""
    between = edges(parts, question.zone)
    of = period(parts[0][0], parts[-1][1], question.zone)
    reading = Reading(question.program_id, of, (name,), types=None if type_id is None else [type_id])
    found: dict[int, dict[int, list[Alike]]] = defaultdict(lambda: defaultdict(list))

    def count(events: Events) -> None:
        place, value = np.searchsorted(between, events.at, side="right"), events[name]
        # Stable: the subjects of each stay in their order.
        order = np.lexsort((value, place))
        place, value, subject = place[order], value[order], events.subject[order]
        starts = np.flatnonzero(changes(place) | changes(value)).tolist()
        for start, end in pairwise([*starts, len(order)]):
            whom = subject[start:end]
            some = Alike(None, end - start, Decimal(0), bitmap(whom[changes(whom)]))
            found[int(place[start])][int(value[start])].append(some)

    reading.each(count)
    codes = {code for of_place in found.values() for code in of_place}
    names = _names(question.program_id, name, codes, reading)
    named: dict[int, dict[Value, list[Alike]]] = defaultdict(lambda: defaultdict(list))
    for place, of_place in found.items():
        for code, some in of_place.items():
            named[place][names.get(code)] += some
    return {place: _together(named[place]) for place in range(1, len(parts) + 1)}


def _names(program_id: int, column: str, codes: Collection[int], reading: Reading) -> Mapping[int, Value]:
    """Of a column's codes; 0 has none."""
    if column == "page":
        return dict(Page.objects.filter(program_id=program_id, id__in=codes).values_list("id", "path"))
    return dict(enumerate(reading.texts(column)))


def _together(found: Mapping[Value, Sequence[Alike]]) -> dict[Value, list[Alike]]:
    """What is told by no number, value by value."""
    return {
        value: [Alike(None, sum(one.events for one in some), Decimal(0), whose(some))] for value, some in found.items()
    }


def _by_day(
    question: Question, parts: list[tuple[date, date]], *, by_event: bool, type_id: int | None
) -> Mapping[int, Mapping[Value, list[Alike]]]:
    """The same, mostly from rollups, which hold the days' events by their type."""
    types = (None if type_id is None else (type_id,)) if by_event else ()
    days = standing(Days(question.program_id, question.zone, parts[0][0], parts[-1][1], types=types))
    named: Mapping[date, Mapping[Value, Tally | Tallied]] = {day: {None: active(days[day])} for day in days}
    if by_event:
        named = by_name(question.program_id, days)
    return {
        place: _of_interval([named[day] for day in dates(*part) if day in named])
        for place, part in enumerate(parts, start=1)
    }


def _of_interval(days: Sequence[Mapping[Value, Tally | Tallied]]) -> dict[Value, list[Alike]]:
    some: dict[Value, list[Tally | Tallied]] = defaultdict(list)
    for named in days:
        for value, tally in named.items():
            some[value].append(tally)
    return {value: [Alike(None, sum(one.number for one in of), Decimal(0), whose(of))] for value, of in some.items()}


def type_of(program_id: int, asked: Trends) -> int | None:
    """The event type's id, None for any; the property and the field are declared."""
    declared: Mapping[str, Mapping[str, Any]] = {}
    type_id = None
    if asked.event is not None:
        row = EventType.objects.filter(program_id=program_id, name=asked.event).first()
        if row is None:
            raise invalid("unknown_event", "name an event of the catalogue, or leave it out for any", "/event")
        type_id, declared = row.pk, row.properties
    if asked.property is not None and declared.get(asked.property, {}).get("type") not in ("integer", "number"):
        detail = "name a property of the event that is declared as an integer or a number"
        raise invalid("unknown_property", detail, "/property")
    if asked.field is not None and asked.field not in FIELDS:
        found = declared.get(asked.field.removeprefix(PROPERTY), {}) if asked.field.startswith(PROPERTY) else {}
        if found.get("type") != "boolean" and not found.get("enum"):
            detail = f"fields are {', '.join(sorted(FIELDS))}, and {PROPERTY}NAME for a boolean or enum of the event"
            raise invalid("unknown_field", detail, "/breakdown" if asked.only is None else "/filters/0/field")
    return type_id
