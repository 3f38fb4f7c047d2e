"""frequency: how many subjects did something how often, on how many days, or how much of it.

Asked: `from`, `to`, `event` (a name of the catalogue; left out, any event) and
- `by`: `events`, the number of such events of a subject in the range, in COUNT_BANDS; `days`, the number of its local days on
  which the subject has one; `property`, the sum of `property`, a number of the event, over those that have it, in SUM_BANDS.
By `corrected_at`; whose events: reports.metrics.standing.

`data`, a row a `value` (a band, or a number of days): distinct `subjects`. Each subject with such an event (and the property)
is in one; who has none is in no row. `subjects`, beside: all of them.

The bands are fixed and public. For the gate values with fewer than k subjects are one row, `value_other`.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from django.db import connection
from pyroaring import BitMap64

from consent.errors import invalid
from reports.metrics.bands import COUNT_BANDS, SUM_BANDS, Bands, number_of
from reports.metrics.calendar import DAY, dates, day_start, period, utc_days
from reports.metrics.registry import Question, metric
from reports.metrics.standing import EVENTS
from reports.metrics.stickiness import Users
from reports.metrics.trends import Trends, type_of
from reports.metrics.whole import whole
from reports.privacy.figures import Count, Dimension, Figures, Value
from tracking.ingest.parse import MAX_SKEW

DEFINITION = (
    "Distinct subjects by how many events (of the name asked, or any) they have in the range's local days, by corrected_at; on "
    "how many of the days; or by the sum of a numeric property over those that have it. Bands are fixed, their lower edge "
    "belongs to them. Values of fewer than k subjects are one row, value_other. Only subjects whose consent and data stand at "
    "as_of are counted: who withdrew (withdrawn_subjects), was erased or is restricted is missing. closed false: the range is "
    "not over for 48 h, all values are one row, and figures may still change."
)

FREQUENCY = """
    WITH counted AS (
        SELECT e.subject_id, width_bucket(e.corrected_at, %(edges)s::timestamptz[]) AS place, {number} AS number
        FROM {events} AND e.corrected_at >= %(begins)s AND e.corrected_at < %(ends)s
         AND (%(type)s::bigint IS NULL OR e.type_id = %(type)s::bigint)
    ),
    of_subject AS (SELECT subject_id, {value} AS value FROM counted GROUP BY subject_id)
    SELECT {shown}, array_agg(subject_id) FROM of_subject WHERE value IS NOT NULL GROUP BY 1
"""
By = Literal["events", "days", "property"]
_VALUE: dict[By, str] = {
    "events": "count(*)::numeric",
    "days": "count(DISTINCT place)::numeric",
    "property": "sum(number)",
}
_BANDS: dict[By, Bands] = {"events": COUNT_BANDS, "property": SUM_BANDS}


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
    of = period(question.first, question.last, question.zone)
    bands = _BANDS.get(asked.by)
    statement = FREQUENCY.format(
        events=EVENTS,
        number=number_of("%(property)s::text") if asked.property else "NULL::numeric",
        value=_VALUE[asked.by],
        shown="width_bucket(value, %(bands)s::numeric[])" if bands else "value",
    )
    parameters: dict[str, Any] = {
        "program": question.program_id,
        "type": type_of(question.program_id, Trends(asked.event, asked.property)),
        "property": asked.property,
        "edges": [day_start(day, question.zone) for day in dates(question.first, question.last + DAY)],
        "begins": of.begins,
        "ends": of.ends,
        "days": utc_days(of, skew=MAX_SKEW),
        "bands": [edge for edge, _ in bands or ()],
    }
    with connection.cursor() as cursor:
        cursor.execute(statement, parameters)
        rows = {int(value): Users(BitMap64(subjects)) for value, subjects in cursor.fetchall()}
    return {_named(bands, value): users for value, users in rows.items()}


def _named(bands: Bands | None, value: int) -> str:
    """A number of days as it is; a band by its place, 0 below all."""
    if bands is None:
        return str(value)
    return bands[value - 1][1] if value else f"below {bands[0][0]}"
