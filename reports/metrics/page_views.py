"""Page views as `pages` counts them, worked out of sessions in columns."""

from collections.abc import Sequence
from datetime import timedelta
from typing import NamedTuple

import numpy as np

from reports.columns.events import Flags, Floats, Numbers, span
from reports.columns.visits import Visits
from reports.metrics.bands import DWELL_S, LOAD_MS, bins
from reports.metrics.heat import CLIENT, GAP, TOUCH, VIEW, Records
from tracking.models import EventType

COLUMNS = ("type", "page", "session", "dwell", "scroll", "load", "element")
"""Of the events of the sessions."""

PASSIVE = ("launch", "hide", "page_view", "page_leave", "expose", "ab_exposure", "incentive_granted")
"""Events that are no interaction."""
LONGEST_GAP = span(timedelta(minutes=30))
_NEVER = np.iinfo(np.int64).max
_MS = span(timedelta(milliseconds=1))
_DWELL = np.array(DWELL_S) * span(timedelta(seconds=1))
_LOAD = np.array(LOAD_MS)


class Kinds(NamedTuple):
    """Ids of event types, 0 where the catalogue has none. `passive`: of events that are no interaction."""

    view: int
    leave: int
    passive: Sequence[int]


def kinds_of(program_id: int) -> Kinds:
    ids = dict(EventType.objects.filter(program_id=program_id, name__in=PASSIVE).values_list("name", "id"))
    return Kinds(ids.get("page_view", 0), ids.get("page_leave", 0), list(ids.values()))


class Said(NamedTuple):
    """What a view and its page_leaves say, the largest of each: `dwell` in ms, -1: nothing; the others NaN."""

    dwell: Numbers
    scroll: Floats
    load: Floats


def views_and_touches(visited: Visits, kinds: Kinds) -> tuple[Records, Records]:
    """Arrays of VIEW and of TOUCH, in the order of `visited`."""
    active = ~np.isin(visited.events["type"], kinds.passive)
    interacted = np.zeros(len(visited.starts), bool)
    interacted[visited.number[active]] = True
    touched = np.flatnonzero(active)
    touches = np.zeros(len(touched), TOUCH)
    for name in TOUCH.names or ():
        touches[name] = visited.events[name][touched]
    return _views(visited, kinds, interacted), touches


def _views(visited: Visits, kinds: Kinds, interacted: Flags) -> Records:
    """`interacted`: of each session."""
    events = visited.events
    seen = np.flatnonzero(events["type"] == kinds.view)
    number, at = visited.number[seen], events.at[seen]
    entry, exits, gap = _placed(number, at)
    said = _said(visited, kinds)
    from_client = said.dwell >= 0
    from_gap = ~from_client & (gap <= LONGEST_GAP)
    found = np.zeros(len(seen), VIEW)
    found["page"], found["subject"] = events["page"][seen], events.subject[seen]
    found["entry"], found["exit"] = entry, exits
    found["bounced"] = entry & exits & ~interacted[number]
    found["source"] = CLIENT * from_client + GAP * from_gap
    found["dwell"] = np.where(from_client, said.dwell * _MS, np.where(from_gap, gap, 0))
    found["dwell_bin"] = np.where(from_client | from_gap, bins(found["dwell"], _DWELL), 0)
    found["scroll"] = said.scroll
    found["load_bin"] = np.where(np.isnan(said.load), 0, bins(said.load, _LOAD))
    return found


def _placed(number: Numbers, at: Numbers) -> tuple[Flags, Flags, Numbers]:
    """Of the views of sessions by `number`: whether each is the first, the last, and the time until the next, _NEVER after the
    last."""
    goes_on = number[1:] == number[:-1]
    entry, exits, gap = np.ones(len(at), bool), np.ones(len(at), bool), np.full(len(at), _NEVER)
    entry[1:], exits[:-1] = ~goes_on, ~goes_on
    gap[:-1][goes_on] = np.diff(at)[goes_on]
    return entry, exits, gap


def _said(visited: Visits, kinds: Kinds) -> Said:
    """Of each view in the order of `visited`. Sorted by session and page, a view's page_leaves follow it."""
    events = visited.events
    of_view = events["type"] == kinds.view
    chosen = np.flatnonzero(of_view | (events["type"] == kinds.leave))
    order, group = _by_page(visited.number[chosen], events["page"][chosen], events.at[chosen], of_view[chosen])
    order = chosen[order]
    begins = np.flatnonzero(of_view[order])
    if not len(begins):
        return Said(np.zeros(0, np.int64), np.zeros(0), np.zeros(0))
    # What comes before the first view of all is left out, and what before the first of its page in its session says nothing.
    order, group, begins = order[begins[0] :], group[begins[0] :], begins - begins[0]
    is_view = of_view[order]
    lost = group != group[begins][np.cumsum(is_view) - 1]
    dwell = np.where(lost, -1, events["dwell"][order])
    scroll, load = (np.where(lost | is_view, np.nan, events[name][order]) for name in ("scroll", "load"))
    # Back from the order by pages.
    back = np.argsort(order[begins], kind="stable")
    return Said(
        np.maximum.reduceat(dwell, begins)[back],
        np.fmax.reduceat(scroll, begins)[back],
        np.fmax.reduceat(load, begins)[back],
    )


def _by_page(number: Numbers, page: Numbers, at: Numbers, is_view: Flags) -> tuple[Numbers, Numbers]:
    """The order by session, page and time, of one moment the views first; and in that order the number of session and page.
    Given in the order by session, time and event id."""
    # Of one session it rises; where two meet at one time their groups part them.
    moment = np.cumsum(np.diff(at, prepend=0) != 0)
    ordered = np.argsort(2 * moment + ~is_view, kind="stable")
    pages, place = np.unique(page, return_inverse=True)
    group = (number * len(pages) + place)[ordered]
    by_group = np.argsort(group, kind="stable")
    return ordered[by_group], group[by_group]
