"""sessions: how many visits there were, how deep and how long.

Asked: `from`, `to` and `interval` (day, week or month; a week or month that the range touches is there, and counted
whole, so the total is over whole ones too). Sessions: reports.metrics.session; each counts, with all its events, in the
interval of its first one, also where it goes on after it. Whose events: reports.metrics.standing.

Per interval (`data`) and over all of them (beside `data`):
- `sessions`: how many began.
- `bounce_rate`: sessions with one view and no interaction / sessions with a view. A view is a `page_view`. An
  interaction is any event but launch, hide, page_view, page_leave, expose, ab_exposure and incentive_granted, which
  come without the subject doing anything.
- `mean_depth`: views / sessions, those without a view included.
- `mean_duration_s`: seconds from a session's first event to its last, 0 where it is one moment; the mean over all.
Where there is no session, or none with a view, a rate or mean is not defined: null, `not_observable`.

What each rests on, for the gate: the subjects who began a session; a rate on those with a bounced session, and on
those with a viewed one that did not bounce (0 % and 100 % would tell of everybody). The mean depth, which times the sessions
is the views, is told where `trends` tells these (reports.privacy.types).
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import date
from typing import Any

from django.db import connection
from pyroaring import BitMap64

from reports.metrics.calendar import DAY, KEYS, day_start, intervals, period, utc_days
from reports.metrics.registry import Question, metric
from reports.metrics.session import LOOK_AHEAD, LOOK_BACK, NUMBERED
from reports.metrics.standing import EVENTS
from reports.metrics.types import VIEWS, types_by_day
from reports.privacy.figures import Count, Figure, Figures, Mean, Period, Row, Share
from tracking.ingest.parse import MAX_SKEW

PASSIVE = ["launch", "hide", "page_view", "page_leave", "expose", "ab_exposure", "incentive_granted"]
MICROSECONDS = 1_000_000

DEFINITION = (
    "Sessions by client session_id, otherwise cut at pauses over 30:00, 24 h at most, in the local day, week (from "
    "Monday) or month of their first event by corrected_at; weeks and months touched count whole. bounce_rate: sessions "
    "with one page_view and no interaction / sessions with a page_view; interactions are all events but launch, hide, "
    "page_view, page_leave, expose, ab_exposure, incentive_granted. mean_depth: page_views / sessions. mean_duration_s: "
    "from first to last event, 0 for a single moment. Only subjects whose consent and data stand at as_of are counted: "
    "who withdrew (withdrawn_subjects), was erased or is restricted is missing from all dates. closed false: the figure "
    "may still change."
)

SESSIONS = f"""
    WITH visited AS (
        SELECT e.subject_id, e.corrected_at, e.session_id, t.name,
               width_bucket(e.corrected_at, %(edges)s::timestamptz[]) AS place
        FROM {EVENTS} AND e.corrected_at >= %(visits_from)s AND e.corrected_at < %(visits_until)s
    ),
    {NUMBERED},
    visits AS (
        SELECT subject_id, min(place) AS place, count(*) FILTER (WHERE name = 'page_view') AS views,
               bool_or(name <> ALL(%(passive)s)) AS interacted, max(corrected_at) - min(corrected_at) AS duration
        FROM numbered GROUP BY subject_id, session_id, number
    ),
    of_subject AS (
        SELECT place, subject_id, count(*) AS sessions, sum(views) AS views, sum(duration) AS duration,
               count(*) FILTER (WHERE views > 0) AS viewed,
               count(*) FILTER (WHERE views = 1 AND NOT interacted) AS bounced
        FROM visits WHERE place BETWEEN 1 AND %(places)s GROUP BY place, subject_id
    )
    SELECT place, sum(sessions)::bigint, sum(views)::bigint, (extract(epoch FROM sum(duration)) * 1000000)::bigint,
           sum(viewed)::bigint, sum(bounced)::bigint, array_agg(subject_id),
           array_agg(subject_id) FILTER (WHERE bounced > 0), array_agg(subject_id) FILTER (WHERE viewed > bounced)
    FROM of_subject GROUP BY place
"""


@dataclass(frozen=True, slots=True)
class Visits:
    """What the sessions of an interval come to; `duration` in microseconds. The sets are those of the gate."""

    sessions: int = 0
    views: int = 0
    duration: int = 0
    viewed: int = 0
    bounced: int = 0
    subjects: BitMap64 = field(default_factory=BitMap64)
    bouncing: BitMap64 = field(default_factory=BitMap64)
    staying: BitMap64 = field(default_factory=BitMap64)

    def __add__(self, other: "Visits") -> "Visits":
        return Visits(
            self.sessions + other.sessions,
            self.views + other.views,
            self.duration + other.duration,
            self.viewed + other.viewed,
            self.bounced + other.bounced,
            self.subjects | other.subjects,
            self.bouncing | other.bouncing,
            self.staying | other.staying,
        )

    def figures(self) -> dict[str, Figure]:
        return {
            "sessions": Count(self.sessions, subjects=self.subjects),
            "bounce_rate": Share(self.bounced, self.viewed, inside=self.bouncing, outside=self.staying),
            "mean_depth": Mean(self.views, self.sessions, subjects=self.subjects),
            "mean_duration_s": Mean(self.duration / MICROSECONDS, self.sessions, subjects=self.subjects),
        }


@metric("sessions", definition=DEFINITION)
def sessions(question: Question) -> Figures:
    """Under the tenant's transaction."""
    found, zone = _visits(question), question.zone
    parts = intervals(question.first, question.last, question.interval)
    rows = [
        Row(
            period(first, last, zone),
            {KEYS[question.interval]: first.isoformat()},
            found.get(place, Visits()).figures(),
        )
        for place, (first, last) in enumerate(parts, start=1)
    ]
    whole = period(parts[0][0], parts[-1][1], zone)
    total = sum(found.values(), start=Visits()).figures()
    return Figures(
        {"data": rows},
        {name: (whole, figure) for name, figure in total.items()},
        summed="data",
        of_type={"mean_depth": VIEWS},
        types=types_by_day(question, parts[0][0], parts[-1][1]),
    )


def scan(question: Question) -> dict[str, Any]:
    """Parameters of a scan for the sessions of the asked intervals: `place` numbers the intervals from 1."""
    return scan_of(question, intervals(question.first, question.last, question.interval))


def scan_of(question: Question, parts: Sequence[tuple[date, date]]) -> dict[str, Any]:
    """The same of consecutive intervals."""
    asked = period(parts[0][0], parts[-1][1], question.zone)
    scanned = Period(asked.begins - LOOK_BACK, asked.ends + LOOK_AHEAD)
    return {
        "program": question.program_id,
        "edges": [day_start(first, question.zone) for first, _ in parts]
        + [day_start(parts[-1][1] + DAY, question.zone)],
        "places": len(parts),
        "visits_from": scanned.begins,
        "visits_until": scanned.ends,
        "days": utc_days(scanned, skew=MAX_SKEW),
        "passive": PASSIVE,
    }


def _visits(question: Question) -> dict[int, Visits]:
    """By the place of the interval."""
    with connection.cursor() as cursor:
        cursor.execute(SESSIONS, scan(question))
        return {
            place: Visits(*numbers, *(BitMap64(some or ()) for some in sets))
            for place, *numbers, sets in ((*row[:6], row[6:]) for row in cursor.fetchall())
        }
