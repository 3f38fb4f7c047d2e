"""quality: what became of the events that were sent, per event type, whoever sent them.

Asked: `from`, `to` and `interval` (day, week or month; a week or month that the range touches is there, and counted
whole). From the ingest counters (tracking.ingest.counting), so by the time of receipt, in local hours of the
mini-program's zone as it was then: a local day is the hours that begin in it. An answer of `retry` is not counted: the
event comes again. Calls that were refused as a whole (4xx) held no events that could be counted.

`data`, a row an interval and event type: those of the catalogue that are active or were sent in the range, and, last,
`event` null for what named no type of the catalogue or could not be read.
- `accepted`: stored, the late ones included. They are counted as they were stored: an erasure or a withdrawal later on
  changes nothing here, and the figures of other reports are lower.
- `late`: accepted when the local day of their corrected_at had been closed for reports, 48 h after its end: closed
  figures have changed by them.
- `duplicate`: stored before, or twice in one batch.
- `refused`, and by code, the API's names: `consent_missing`, `outside_consent`, … Without consent it may be nobody's
  fault; `invalid_event` or `undeclared_property` means that a mini-program sends what it should not.
Beside `data` the same over all intervals and types.

What each rests on, for the gate: the largest number of distinct subjects that one process knew of on one local day (a
lower bound; events whose subject cannot be read count toward nobody). Such bounds cannot be united, so small rows are
suppressed and not merged, and a total is told only where all its rows are. `late` and the accepted others tell of each
other, and so do `refused` and its codes: each rests on each of its parts.
"""

from collections import defaultdict
from collections.abc import Iterable
from typing import NamedTuple

from django.db import connection

from reports.metrics.calendar import DAY, KEYS, day_start, intervals, period
from reports.metrics.registry import Question, metric
from reports.privacy.figures import AtLeast, Count, Figure, Figures, Row, Sum
from tracking.codes import REFUSED
from tracking.models import UNKNOWN_TYPE, Answer, EventStatus, EventType

DEFINITION = (
    "Events by the time of receipt, in local days, weeks (from Monday) or months; weeks and months touched count whole. "
    "accepted: stored, late ones included; late: accepted 48 h or more after the end of the local day of corrected_at, "
    "when its figures had been closed; duplicate: stored before; refused, and by code: stored nowhere. Answers of retry "
    "are not counted. event null: no type of the catalogue. All that was sent counts, also of subjects who withdrew or "
    "were erased since. A figure is told where one server process knew k subjects behind it on one day, so small ones "
    "may be withheld although k were there. closed false: the figure may still change."
)

COUNTERS = """
    SELECT place, type_id, answer, code, sum(events)::bigint, max(day_subjects)
    FROM (
        SELECT width_bucket(hour, %s::timestamptz[]) AS place, type_id, answer, code, events, day_subjects
        FROM ingest_count WHERE program_id = %s AND hour >= %s AND hour < %s
    ) AS counted
    GROUP BY place, type_id, answer, code
"""


class Counter(NamedTuple):
    """Events with one answer, and of how many subjects they are at least."""

    events: int = 0
    subjects: int = 0

    def __add__(self, other: object) -> "Counter":
        """Of both together the larger bound is sure."""
        if not isinstance(other, Counter):
            return NotImplemented
        return Counter(self.events + other.events, max(self.subjects, other.subjects))


Counters = dict[str, Counter]
"""By answer, the refused ones by code."""


@metric("quality", definition=DEFINITION)
def quality(question: Question) -> Figures:
    """Under the tenant's transaction."""
    parts = intervals(question.first, question.last, question.interval)
    found = _counters(question)
    rows = []
    types = _types(question.program_id, {type_id for _, type_id in found})
    for place, (first, last) in enumerate(parts, start=1):
        key = {KEYS[question.interval]: first.isoformat()}
        of = period(first, last, question.zone)
        rows += [Row(of, {**key, "event": name}, _figures(found[place, type_id])) for type_id, name in types]
    whole = period(parts[0][0], parts[-1][1], question.zone)
    total = _figures(_summed(found.values()))
    return Figures({"data": rows}, {name: (whole, figure) for name, figure in total.items()}, summed="data")


def _figures(counters: Counters) -> dict[str, Figure]:
    def of(answer: str) -> Counter:
        return counters.get(answer, Counter())

    in_time, late, duplicate = of(Answer.ACCEPTED), of(Answer.LATE), of(Answer.DUPLICATE)
    refused = {code: of(code) for code in REFUSED}
    return {
        "accepted": _count(in_time + late),
        "late": Sum(late.events, AtLeast(late.subjects), AtLeast(in_time.subjects)),
        "duplicate": _count(duplicate),
        "refused": Sum(
            sum(counter.events for counter in refused.values()),
            *(AtLeast(counter.subjects) for counter in refused.values()),
        ),
        **{code: _count(counter) for code, counter in refused.items()},
    }


def _count(counter: Counter) -> Count:
    return Count(counter.events, subjects=AtLeast(counter.subjects))


def _summed(some: Iterable[Counters]) -> Counters:
    total: dict[str, Counter] = defaultdict(Counter)
    for counters in some:
        for answer, counter in counters.items():
            total[answer] += counter
    return total


def _counters(question: Question) -> dict[tuple[int, int], Counters]:
    """By the place of the interval, from 1, and the type's id."""
    parts = intervals(question.first, question.last, question.interval)
    edges = [day_start(day, question.zone) for day in [*(first for first, _ in parts), parts[-1][1] + DAY]]
    found: dict[tuple[int, int], Counters] = defaultdict(dict)
    with connection.cursor() as cursor:
        cursor.execute(COUNTERS, [edges, question.program_id, edges[0], edges[-1]])
        for place, type_id, answer, code, events, subjects in cursor.fetchall():
            # Where no subject could be read there was somebody all the same: events never rest on nobody.
            found[place, type_id][code or answer] = Counter(events, max(subjects, 1))
    return found


def _types(program_id: int, sent: set[int]) -> list[tuple[int, str | None]]:
    """(id, name) of the active types and of those that were sent, by name; last what is no type."""
    rows = EventType.objects.filter(program_id=program_id).values_list("id", "name", "status").order_by("name")
    listed = [(type_id, name) for type_id, name, status in rows if status == EventStatus.ACTIVE or type_id in sent]
    return [*listed, (UNKNOWN_TYPE, None)]
