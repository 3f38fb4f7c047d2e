"""shares: who shared, and who came because somebody did.

Asked: `from`, `to` and `interval` (day, week, month; weeks and months touched count whole). A session *came from a share* where
the first scene that an event of it gives (as in `distributions`) is one of SHARED_SCENES. Sessions:
reports.metrics.session, in the interval of their first event; whose events: reports.metrics.standing.

`data`, a row an interval:
- `shares`: share events in it, by corrected_at; `sharers`: distinct subjects with one.
- `sessions_from_share`: sessions that began in it and came from a share. They need not come from a share of the same interval:
  which one is not known.
- `new_from_share`: subjects whose first event ever lies in it (`new` of the report `lifecycle`) and whose first session in
  it came from a share (of two that began at one instant, one).
- `returns_per_share`: sessions_from_share / shares; null without a share.

For the gate what came from shares rests on the subjects with such sessions and on those with others; new ones on those who
came from a share and those who did not. Shares are told where `trends` tells them (reports.privacy.types).
"""

from dataclasses import dataclass, field

from django.db import connection
from pyroaring import BitMap64

from reports.metrics.calendar import DAY, KEYS, intervals, period
from reports.metrics.distributions import first_of
from reports.metrics.lifecycle import states_by_place
from reports.metrics.registry import Question, metric
from reports.metrics.session import NUMBERED, scan_of
from reports.metrics.standing import EVENTS
from reports.metrics.types import SHARES as OF_SHARES
from reports.metrics.types import types_by_day
from reports.privacy.figures import Count, Figure, Figures, OfType, PartCount, Row

SHARED_SCENES = ("1007", "1008", "1036", "1044", "1096", "1154", "1155")
"""WeChat's codes: a card in a chat with one person, in a group, from an app, with a share ticket; a chat's record; Moments."""

DEFINITION = (
    "By local day, week (from Monday) or month of corrected_at; weeks and months touched count whole. shares, sharers: share "
    "events and who made them. sessions_from_share: sessions that began (client session_id, otherwise cut at pauses over "
    "30:00, 24 h at most) whose first scene is one of 1007, 1008, 1036, 1044, 1096, 1154, 1155; new_from_share: subjects with "
    "their first event ever whose first session came so; returns_per_share: sessions_from_share / shares, of whatever interval. Only "
    "subjects whose consent and data stand at as_of are counted: who withdrew (withdrawn_subjects), was erased or is "
    "restricted is missing. closed false: the figures may still change."
)

# The kinds of rows: 1 of sessions, 2 of shares.
SHARES = f"""
    WITH visited AS (
        SELECT e.subject_id, e.corrected_at, e.session_id, t.name, e.scene,
               width_bucket(e.corrected_at, %(edges)s::timestamptz[]) AS place
        FROM {EVENTS} AND e.corrected_at >= %(visits_from)s AND e.corrected_at < %(visits_until)s
    ),
    {NUMBERED},
    visits AS (
        SELECT subject_id, min(place) AS place, min(corrected_at) AS began, {first_of("scene")}
        FROM numbered GROUP BY subject_id, session_id, number
    ),
    told AS (
        SELECT subject_id, place, coalesce(scene = ANY(%(shared)s::text[]), false) AS shared,
               rank() OVER (PARTITION BY subject_id, place ORDER BY began) = 1 AS is_first
        FROM visits WHERE place BETWEEN 1 AND %(places)s
    )
    SELECT 1, place, count(*) FILTER (WHERE shared), array_agg(subject_id) FILTER (WHERE shared),
           array_agg(subject_id) FILTER (WHERE NOT shared), array_agg(subject_id) FILTER (WHERE shared AND is_first)
    FROM told GROUP BY place
    UNION ALL
    SELECT 2, place, count(*), array_agg(subject_id), NULL, NULL
    FROM visited WHERE name = 'share' AND place BETWEEN 1 AND %(places)s GROUP BY place
"""


OF_TYPE = {
    "shares": OF_SHARES,
    "sharers": OfType(OF_SHARES.event, "subjects"),
    "returns_per_share": OF_SHARES,
}


@dataclass(frozen=True, slots=True)
class Came:
    """Sessions of an interval that came from a share: how many, whose, who had others, and whose first one it was."""

    sessions: int = 0
    shared: BitMap64 = field(default_factory=BitMap64)
    others: BitMap64 = field(default_factory=BitMap64)
    first: BitMap64 = field(default_factory=BitMap64)


@dataclass(frozen=True, slots=True)
class Shared:
    """Share events of an interval."""

    shares: int = 0
    sharers: BitMap64 = field(default_factory=BitMap64)


@metric("shares", definition=DEFINITION)
def shares(question: Question) -> Figures:
    """Under the tenant's transaction."""
    parts = intervals(question.first, question.last, question.interval)
    before = intervals(parts[0][0] - DAY, parts[0][0] - DAY, question.interval)
    states = states_by_place(question, [*before, *parts])
    came: dict[int, Came] = {}
    shared: dict[int, Shared] = {}
    with connection.cursor() as cursor:
        cursor.execute(SHARES, {**scan_of(question, parts), "shared": list(SHARED_SCENES)})
        for kind, place, number, *sets in cursor.fetchall():
            subjects = [BitMap64(some or ()) for some in sets]
            if kind == 1:
                came[place] = Came(number, *subjects)
            else:
                shared[place] = Shared(number, subjects[0])
    rows = []
    for place, (first, last) in enumerate(parts, start=1):
        new = states.get((place + 1, "new"), BitMap64())
        figures = _figures(shared.get(place, Shared()), came.get(place, Came()), new)
        rows.append(Row(period(first, last, question.zone), {KEYS[question.interval]: first.isoformat()}, figures))
    types = types_by_day(question, parts[0][0], parts[-1][1])
    return Figures({"data": rows}, of_type=OF_TYPE, types=types)


def _figures(shared: Shared, came: Came, new: BitMap64) -> dict[str, Figure]:
    fresh = new & came.first
    rate = round(came.sessions / shared.shares, 4) if shared.shares else None
    return {
        "shares": Count(shared.shares, subjects=shared.sharers),
        "sharers": Count(len(shared.sharers), subjects=shared.sharers),
        "sessions_from_share": PartCount(came.sessions, inside=came.shared, outside=came.others),
        "new_from_share": PartCount(len(fresh), inside=fresh, outside=new - fresh),
        "returns_per_share": Figure(rate, shared.sharers, came.shared, came.others),
    }
