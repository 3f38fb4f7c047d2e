"""frequency: how many subjects did something how often, on how many days, or how much of it.

Asked: `from`, `to`, `event` (a name of the catalogue; left out, any event) and
- `by`: `events`, the number of such events of a subject in the range, in COUNT_BANDS; `days`, the number of its local days on
  which the subject has one; `property`, the sum of `property`, a number of the event, over those that have it, in SUM_BANDS.
By `corrected_at`; whose events: reports.metrics.standing.

`data`, a row a `value` (a band, or a number of days): distinct `subjects`. Each subject with such an event (and the property)
is in one; who has none is in no row. `subjects`, beside: all of them.

The bands are fixed and public. For the gate values with fewer than k subjects are one row, `value_other`.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from django.db import connection
from pyroaring import BitMap64

from consent.errors import invalid
from reports.columns.groups import alike, bitmap
from reports.columns.read import Reading
from reports.metrics.bands import COUNT_BANDS, SUM_BANDS, number_of, places
from reports.metrics.calendar import period, utc_days
from reports.metrics.registry import Question, metric
from reports.metrics.standing import EVENTS
from reports.metrics.stickiness import Users, by_number
from reports.metrics.trends import Trends, type_of
from reports.metrics.whole import whole
from reports.models import RollupKind
from reports.privacy.figures import Count, Dimension, Figures, Value
from reports.rollups.contribution import NOBODY, Days, active
from reports.rollups.read import standing
from tracking.ingest.parse import MAX_SKEW

DEFINITION = (
    "Distinct subjects by how many events (of the name asked, or any) they have in the range's local days, by corrected_at; on "
    "how many of the days; or by the sum of a numeric property over those that have it. Bands are fixed, their lower edge "
    "belongs to them. Values of fewer than k subjects are one row, value_other. Only subjects whose consent and data stand at "
    "as_of are counted: who withdrew (withdrawn_subjects), was erased or is restricted is missing. closed false: the range is "
    "not over for 48 h, all values are one row, and figures may still change."
)

SUMS = """
    WITH of_subject AS (
        SELECT e.subject_id, sum({number}) AS value
        FROM {events} AND e.corrected_at >= %(begins)s AND e.corrected_at < %(ends)s AND e.type_id = %(type)s
        GROUP BY e.subject_id
    )
    SELECT width_bucket(value, %(bands)s::numeric[]), array_agg(subject_id) FROM of_subject WHERE value IS NOT NULL GROUP BY 1
"""
By = Literal["events", "days", "property"]


@dataclass(frozen=True, slots=True)
class Frequency:
    """What is asked beside dates; a property belongs to an event."""

    by: By = "events"
    event: str | None = None
    property: str | None = None


@metric("frequency", definition=DEFINITION)
def frequency(question: Question) -> Figures:
    """Under the tenant's transaction. Raises Invalid `unknown_event`, `unknown_property`."""
    asked = question.options if isinstance(question.options, Frequency) else Frequency()
    if (asked.by == "property") != (asked.property is not None):
        raise invalid("unknown_property", "a property is named where it is asked by one", "/property")
    found = _users(question, asked)
    of = period(question.first, question.last, question.zone)
    everybody = BitMap64().union(*(users.subjects for users in found.values()))
    total = of, Count(len(everybody), subjects=everybody)
    table = Dimension(of, "value", found)
    return Figures({"data": [table]}, {"subjects": total}, summed="data", whole=whole(question))


def _users(question: Question, asked: Frequency) -> Mapping[Value, Users]:
    """By band, or number of days."""
    type_id = type_of(question.program_id, Trends(asked.event, asked.property))
    if asked.by == "days":
        return by_number(_each_day(question, type_id))
    return _by_events(question, type_id) if asked.property is None else _by_sum(question, type_id, asked.property)


def _each_day(question: Question, type_id: int | None) -> Iterator[BitMap64]:
    """Who has such events, of the days that have any; mostly from rollups."""
    types = () if type_id is None else (type_id,)
    days = standing(Days(question.program_id, question.zone, question.first, question.last, types=types))
    for tallies in days.values():
        tally = active(tallies) if type_id is None else tallies.get((RollupKind.EVENT.value, type_id), NOBODY)
        if tally.subjects:
            yield tally.subjects


def _by_events(question: Question, type_id: int | None) -> Mapping[Value, Users]:
    of = period(question.first, question.last, question.zone)
    reading = Reading(question.program_id, of, (), types=None if type_id is None else [type_id])
    none = np.zeros(0, np.int64)
    parts = [(none, none), *reading.each(lambda events: np.unique(events.subject, return_counts=True))]
    subjects, numbers = (np.concatenate(column) for column in zip(*parts, strict=True))
    place = places(COUNT_BANDS, numbers)
    order = np.argsort(place, kind="stable")
    return {COUNT_BANDS[one][1]: Users(bitmap(subjects[order][where])) for one, where in alike(place[order])}


def _by_sum(question: Question, type_id: int | None, name: str) -> Mapping[Value, Users]:
    """`type_id` is of an event that has the property."""
    of = period(question.first, question.last, question.zone)
    parameters: dict[str, Any] = {
        "program": question.program_id,
        "type": type_id,
        "property": name,
        "begins": of.begins,
        "ends": of.ends,
        "days": utc_days(of, skew=MAX_SKEW),
        "bands": [edge for edge, _ in SUM_BANDS],
    }
    with connection.cursor() as cursor:
        cursor.execute(SUMS.format(events=EVENTS, number=number_of("%(property)s::text")), parameters)
        return {_sum_band(place): Users(BitMap64(subjects)) for place, subjects in cursor.fetchall()}


def _sum_band(place: int) -> str:
    """0 is below all."""
    return SUM_BANDS[place - 1][1] if place else f"below {SUM_BANDS[0][0]}"
