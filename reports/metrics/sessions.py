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

from dataclasses import dataclass, field

from pyroaring import BitMap64

from reports.columns.groups import bitmap
from reports.columns.read import Reading
from reports.columns.visits import visits
from reports.metrics.calendar import KEYS, intervals, period
from reports.metrics.page_views import kinds_of
from reports.metrics.registry import Question, metric
from reports.metrics.session import scanned
from reports.metrics.types import VIEWS, types_by_day
from reports.metrics.visited import COLUMNS, Sessions, edges, rows, together
from reports.privacy.figures import Count, Figure, Figures, Mean, Row, Share

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
    data = [
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
        {"data": data},
        {name: (whole, figure) for name, figure in total.items()},
        summed="data",
        of_type={"mean_depth": VIEWS},
        types=types_by_day(question, parts[0][0], parts[-1][1]),
    )


def _visits(question: Question) -> dict[int, Visits]:
    """By the place of the interval."""
    parts = intervals(question.first, question.last, question.interval)
    of = period(parts[0][0], parts[-1][1], question.zone)
    between, kinds = edges(parts, question.zone), kinds_of(question.program_id)
    found = Reading(question.program_id, scanned(of), COLUMNS).each(
        lambda events: rows(visits(events, of), between, kinds)
    )
    return {place: _tallied(some) for place, some in together(found).by_place()}


def _tallied(some: Sessions) -> Visits:
    """Of one interval."""
    viewed = some.views > 0
    bounced = (some.views == 1) & ~some.active
    return Visits(
        len(some.subject),
        int(some.views.sum()),
        int(some.duration.sum()),
        int(viewed.sum()),
        int(bounced.sum()),
        bitmap(some.subject),
        bitmap(some.subject[bounced]),
        bitmap(some.subject[viewed & ~bounced]),
    )
