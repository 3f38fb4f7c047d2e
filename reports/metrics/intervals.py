"""intervals: how long it takes from one event of a subject to another.

Asked: `from`, `to`, `interval` (day, week, month; weeks and months touched count whole), `start_event` and `end_event`, names of the
catalogue, maybe the same one, `bound_s` and
- `mode`: `next_after`, from every start event to the subject's next end event; `first_to_first`, from the first start event of
  a subject in each interval only.
A start event lies in the interval of its `corrected_at`; its end is another event, at its instant or later, `bound_s` after it at
most, exactly that included, and may lie after the range. Several starts may have one end. Whose events:
reports.metrics.standing.

`data`, a row an interval:
- `starts`: start events whose bound is over at as-of. `count`: those of them with an end; `subjects`: distinct, who had one.
- `p10_s`, `p25_s`, `median_s`, `p75_s`, `p90_s`: seconds from start to end.
- `open_starts`: start events whose bound reaches as-of or beyond, whether their end has come or not; they are in no other
  figure.

For the gate `count` and `subjects` rest on the subjects with an end and on those with a start that has none. Quantiles:
reports.privacy.bins.
"""

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Any, Literal, NamedTuple

from django.db import connection
from pyroaring import BitMap64

from reports.metrics.bands import TO_CONVERT_S, bin_of
from reports.metrics.calendar import DAY, KEYS, MOMENT, day_start, intervals, period, utc_days
from reports.metrics.catalogue import type_ids
from reports.metrics.registry import Question, metric
from reports.metrics.standing import EVENTS
from reports.metrics.tallies import whose
from reports.metrics.types import types_by_day
from reports.privacy.bins import quantiles, summed
from reports.privacy.figures import Count, Figure, Figures, OfType, PartCount, Period, Row
from tracking.ingest.parse import MAX_SKEW

QUANTILES = {"p10_s": 0.1, "p25_s": 0.25, "median_s": 0.5, "p75_s": 0.75, "p90_s": 0.9}

DEFINITION = (
    "From a start event, in the local day, week (from Monday) or month of its corrected_at, to the subject's next end event, "
    "another one, at its instant or later and bound_s after it at most; next_after: from every start; first_to_first: from a "
    "subject's first in each interval. Weeks and months touched count whole. starts: those whose bound is over at as_of; the "
    "others are open_starts and in no other figure. Quantiles: the middle of a fixed bin that holds k subjects; *_bin are its "
    "edges, between which the true value lies (null: open, the lower one is told). Only subjects whose consent and data stand "
    "at as_of are counted: who withdrew (withdrawn_subjects), was erased or is restricted is missing. closed false: the "
    "figures may still change."
)

# As in the funnel, a subject's events meet in arrays, in which `width_bucket` finds by bisection.
BETWEEN = """
    WITH seen AS (
        SELECT e.subject_id, e.corrected_at AS at, e.event_id, e.type_id
        FROM {events} AND e.corrected_at >= %(begins)s AND e.corrected_at <= %(until)s
         AND e.type_id IN (%(start)s, %(end)s)
    ),
    gathered AS (
        SELECT subject_id, array_agg(at ORDER BY at) FILTER (WHERE type_id = %(start)s) AS starts,
               array_agg(at ORDER BY at) FILTER (WHERE type_id = %(end)s) AS ends
        FROM seen GROUP BY subject_id
    ),
    paired AS (
        SELECT g.subject_id, s.at, s.nth, {end} AS ended, width_bucket(s.at, %(edges)s::timestamptz[]) AS place
        FROM gathered g CROSS JOIN LATERAL unnest(g.starts) WITH ORDINALITY AS s(at, nth) WHERE s.at < %(ends)s
    ),
    taken AS (
        {taken}
    ),
    measured AS (
        SELECT subject_id, place, at + %(bound)s >= %(as_of)s AS is_open,
               CASE WHEN ended <= at + %(bound)s THEN extract(epoch FROM ended - at) END AS took
        FROM taken
    )
    SELECT place, is_open, {bin}, count(*), array_agg(subject_id) FROM measured GROUP BY 1, 2, 3
"""
_ANOTHER = "g.ends[width_bucket(s.at - interval '1 microsecond', g.ends) + 1]"
_SAME = "g.starts[s.nth::int + 1]"
_TAKEN = {
    "next_after": "SELECT * FROM paired",
    "first_to_first": "SELECT DISTINCT ON (subject_id, place) * FROM paired ORDER BY subject_id, place, nth",
}

Pairing = Literal["next_after", "first_to_first"]


@dataclass(frozen=True, slots=True)
class Between:
    """What is asked beside dates and interval; `bound` of whole seconds."""

    start_event: str
    end_event: str
    bound: timedelta
    mode: Pairing = "next_after"


class Alike(NamedTuple):
    """Starts whose time to their end lies in one bin (None: they have no end)."""

    is_open: bool
    bin: int | None
    number: int
    subjects: BitMap64


@metric("intervals", definition=DEFINITION, anew=1)
def time_between(question: Question) -> Figures:
    """Under the tenant's transaction. Raises Invalid `unknown_event`."""
    asked = question.options
    if not isinstance(asked, Between):
        raise TypeError("intervals need their events")
    parts = intervals(question.first, question.last, question.interval)
    found = _counted(question, asked, parts)
    rows = []
    for place, (first, last) in enumerate(parts, start=1):
        of = period(first, last, question.zone)
        lived = Period(of.begins, of.ends + asked.bound)
        keys = {KEYS[question.interval]: first.isoformat()}
        rows.append(Row(lived, keys, _figures(found.get(place, [])), begun=of))
    of_type = dict.fromkeys(("starts", "open_starts"), OfType(asked.start_event))
    return Figures({"data": rows}, of_type=of_type, types=types_by_day(question, parts[0][0], parts[-1][1]))


def _figures(alike: list[Alike]) -> dict[str, Figure]:
    over = [one for one in alike if not one.is_open]
    waiting = [one for one in alike if one.is_open]
    having = [one for one in over if one.bin is not None]
    inside, outside = whose(having), whose(one for one in over if one.bin is None)
    filled = summed((one.bin, one.number, one.subjects) for one in having)
    return {
        "starts": Count(_number(over), subjects=whose(over)),
        "count": PartCount(_number(having), inside=inside, outside=outside),
        "subjects": PartCount(len(inside), inside=inside, outside=outside),
        **quantiles(TO_CONVERT_S, filled, QUANTILES),
        "open_starts": Count(_number(waiting), subjects=whose(waiting)),
    }


def _number(alike: Iterable[Alike]) -> int:
    return sum(one.number for one in alike)


def _counted(question: Question, asked: Between, parts: list[tuple[date, date]]) -> dict[int, list[Alike]]:
    """By place of the interval, from 1."""
    types = type_ids(question.program_id, {"/start_event": asked.start_event, "/end_event": asked.end_event})
    whole = period(parts[0][0], parts[-1][1], question.zone)
    statement = BETWEEN.format(
        events=EVENTS,
        end=_SAME if asked.start_event == asked.end_event else _ANOTHER,
        taken=_TAKEN[asked.mode],
        bin=bin_of("took", "bins"),
    )
    parameters: dict[str, Any] = {
        "program": question.program_id,
        "start": types[asked.start_event],
        "end": types[asked.end_event],
        "begins": whole.begins,
        "ends": whole.ends,
        "until": whole.ends + asked.bound,
        "bound": asked.bound,
        "as_of": question.as_of,
        "edges": [day_start(day, question.zone) for day in (*(first for first, _ in parts), parts[-1][1] + DAY)],
        "days": utc_days(Period(whole.begins, whole.ends + asked.bound + MOMENT), skew=MAX_SKEW),
        "bins": list(TO_CONVERT_S),
    }
    found: dict[int, list[Alike]] = defaultdict(list)
    with connection.cursor() as cursor:
        cursor.execute(statement, parameters)
        for place, is_open, place_of_bin, number, subjects in cursor.fetchall():
            found[place].append(Alike(is_open, place_of_bin, number, BitMap64(subjects)))
    return found
