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
everybody). Values with fewer than k exposed subjects are `value_other`.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from django.db import connection
from pyroaring import BitMap64

from consent.errors import invalid
from reports.metrics.calendar import DAY, KEYS, day_start, intervals, period, utc_days
from reports.metrics.catalogue import type_ids
from reports.metrics.registry import Question, metric
from reports.metrics.standing import EVENTS
from reports.privacy.figures import Count, Dimension, Distinct, Figure, Figures, PartCount, Row, Share, Value
from tracking.ingest.parse import MAX_SKEW
from tracking.models import EventType

FIELDS = {"element": "e.properties ->> 'element'", "page": "e.page_id::text"}
"""Field -> SQL of its value; of a page, its id."""

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

CONVERSION = """
    WITH seen AS (
        SELECT e.subject_id, e.corrected_at AS at, {value} AS value, e.type_id = %(goal)s AS reaches,
               %(exposure)s::bigint IS NULL OR e.type_id = %(exposure)s::bigint AS exposes,
               width_bucket(e.corrected_at, %(edges)s::timestamptz[]) AS place
        FROM {events} AND e.corrected_at >= %(begins)s AND e.corrected_at < %(ends)s
         AND (%(exposure)s::bigint IS NULL OR e.type_id IN (%(exposure)s::bigint, %(goal)s))
    ),
    exposed AS (
        SELECT *, min(at) FILTER (WHERE exposes) OVER (PARTITION BY subject_id, place, value) AS since FROM seen
    ),
    of_subject AS (
        SELECT place, value, subject_id, count(*) FILTER (WHERE exposes) AS exposures,
               count(*) FILTER (WHERE reaches AND at >= since) AS goals
        FROM exposed WHERE since IS NOT NULL GROUP BY 1, 2, 3
    )
    SELECT place, {shown}, sum(exposures)::bigint, sum(goals)::bigint, array_agg(o.subject_id),
           array_agg(o.subject_id) FILTER (WHERE goals > 0)
    FROM of_subject o {named} GROUP BY 1, 2
"""


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


@metric("conversion", definition=DEFINITION)
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
    return Figures({"data": lines})


def _counted(question: Question, asked: Conversion) -> Mapping[int, Mapping[Value, Exposed]]:
    """Place of the interval, from 1 -> value -> what happened."""
    types = _types(question.program_id, asked)
    parts = intervals(question.first, question.last, question.interval)
    whole = period(parts[0][0], parts[-1][1], question.zone)
    pages = asked.field == "page"
    statement = CONVERSION.format(
        events=EVENTS,
        value=FIELDS[asked.field] if asked.field else "NULL::text",
        shown="p.path" if pages else "value",
        named="LEFT JOIN page p ON p.id = value::bigint" if pages else "",
    )
    parameters: dict[str, Any] = {
        "program": question.program_id,
        "goal": types[asked.goal],
        "exposure": types.get(asked.exposure or ""),
        "edges": [day_start(day, question.zone) for day in (*(first for first, _ in parts), parts[-1][1] + DAY)],
        "begins": whole.begins,
        "ends": whole.ends,
        "days": utc_days(whole, skew=MAX_SKEW),
    }
    found: dict[int, dict[Value, Exposed]] = {}
    with connection.cursor() as cursor:
        cursor.execute(statement, parameters)
        for place, value, exposures, goals, subjects, converted in cursor.fetchall():
            exposed = Exposed(exposures, goals, BitMap64(subjects), BitMap64(converted or ()))
            found.setdefault(place, {})[value] = exposed
    return found


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
