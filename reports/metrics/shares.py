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
came from a share and those who did not. Shares are told where `trends` tells them (reports.privacy.types). The returns are
hidden with the sessions, which times the shares they are: of a week, too, with a day without a share, on which they are not defined.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from typing import NamedTuple

import numpy as np
from pyroaring import BitMap64

from reports.columns.events import Events, Flags, Numbers
from reports.columns.groups import alike, bitmap, changes
from reports.columns.read import Reading
from reports.columns.visits import visits
from reports.metrics.calendar import DAY, KEYS, dates, intervals, period
from reports.metrics.catalogue import by_name
from reports.metrics.lifecycle import states_by_place
from reports.metrics.registry import Question, metric
from reports.metrics.session import scanned
from reports.metrics.tallies import Tallied, whose
from reports.metrics.types import SHARES, types_of
from reports.metrics.visited import edges, firsts
from reports.privacy.figures import Count, Figure, Figures, OfType, PartCount, Row, Value
from reports.rollups.contribution import Days
from reports.rollups.read import standing

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

OF_TYPE = {
    "shares": SHARES,
    "sharers": OfType(SHARES.event, "subjects"),
    "returns_per_share": SHARES,
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


@metric("shares", definition=DEFINITION, anew=1)
def shares(question: Question) -> Figures:
    """Under the tenant's transaction."""
    parts = intervals(question.first, question.last, question.interval)
    before = intervals(parts[0][0] - DAY, parts[0][0] - DAY, question.interval)
    states = states_by_place(question, [*before, *parts])
    came = _came(question, parts)
    days = by_name(question.program_id, standing(Days(question.program_id, question.zone, *_ends(parts), types=None)))
    rows = []
    for place, (first, last) in enumerate(parts, start=1):
        new = states.get((place + 1, "new"), BitMap64())
        figures = _figures(_shared(days, first, last), came.get(place, Came()), new)
        keys, hidden_with = {KEYS[question.interval]: first.isoformat()}, {"returns_per_share": "sessions_from_share"}
        rows.append(Row(period(first, last, question.zone), keys, figures, hidden_with=hidden_with))
    return Figures({"data": rows}, of_type=OF_TYPE, types=types_of(question, days))


def _ends(parts: Sequence[tuple[date, date]]) -> tuple[date, date]:
    return parts[0][0], parts[-1][1]


def _shared(days: Mapping[date, Mapping[Value, Tallied]], first: date, last: date) -> Shared:
    made = [named[SHARES.event] for day in dates(first, last) if SHARES.event in (named := days.get(day, {}))]
    return Shared(sum(of_day.number for of_day in made), whose(made))


class _Begun(NamedTuple):
    """Sessions: the interval each began in, whose it is, whether it came from a share, and whether none of the subject's began
    before it in the interval."""

    place: Numbers
    subject: Numbers
    shared: Flags
    first: Flags


def _came(question: Question, parts: Sequence[tuple[date, date]]) -> dict[int, Came]:
    """By the place of the interval."""
    of, between = period(*_ends(parts), question.zone), edges(parts, question.zone)
    reading = Reading(question.program_id, scanned(of), ("session", "scene"))

    def begun(events: Events) -> _Begun:
        visited = visits(events, of)
        began, subject = visited.events.at[visited.starts], visited.events.subject[visited.starts]
        place, scenes = np.searchsorted(between, began, side="right"), reading.texts("scene")
        shared = [code for code, scene in enumerate(scenes) if scene in SHARED_SCENES]
        from_share = np.isin(firsts(visited, "scene", scenes), shared)
        return _Begun(place, subject, from_share, _is_first(place, subject, began))

    none = np.zeros(0, np.int64)
    sessions = [_Begun(none, none, none > 0, none > 0), *reading.each(begun)]
    place, subject, shared, first = (np.concatenate(column) for column in zip(*sessions, strict=True))
    order = np.argsort(place, kind="stable")
    found: dict[int, Came] = {}
    for interval, where in alike(place[order]):
        which = order[where]
        whom, from_share = subject[which], shared[which]
        firsts_from_share = bitmap(whom[from_share & first[which]])
        found[interval] = Came(
            int(from_share.sum()), bitmap(whom[from_share]), bitmap(whom[~from_share]), firsts_from_share
        )
    return found


def _is_first(place: Numbers, subject: Numbers, began: Numbers) -> Flags:
    """Of two that began at one instant both are."""
    order = np.lexsort((began, subject, place))
    another = changes(place[order]) | changes(subject[order])
    earliest = began[order][np.flatnonzero(another)][np.cumsum(another) - 1]
    found = np.zeros(len(order), bool)
    found[order] = began[order] == earliest
    return found


def _figures(shared: Shared, came: Came, new: BitMap64) -> dict[str, Figure]:
    fresh = new & came.first
    # Not defined without a share, whoever came: as many blocks as with one, so that k who share later make a revision.
    rests = (shared.sharers, came.shared, came.others) if shared.shares else (BitMap64(), BitMap64(), BitMap64())
    rate = round(came.sessions / shared.shares, 4) if shared.shares else None
    return {
        "shares": Count(shared.shares, subjects=shared.sharers),
        "sharers": Count(len(shared.sharers), subjects=shared.sharers),
        "sessions_from_share": PartCount(came.sessions, inside=came.shared, outside=came.others),
        "new_from_share": PartCount(len(fresh), inside=fresh, outside=new - fresh),
        "returns_per_share": Figure(rate, *rests),
    }
