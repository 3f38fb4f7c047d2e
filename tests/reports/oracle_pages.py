"""pages once more, slowly and another way: view by view in plain Python, by the words of its definition.

Medians and p90 are answered exactly; the report's bins are checked to hold them.
"""

from collections import defaultdict
from dataclasses import dataclass, field
from datetime import date, timedelta
from math import fsum
from typing import Any
from zoneinfo import ZoneInfo

from tests.reports.events import Seen
from tests.reports.oracle_sessions import WITHOUT_DOING, cut

BANDS = {"0-500": 500, "500-1000": 1000, "1000-2000": 2000, "2000-3000": 3000, "3000-5000": 5000}


@dataclass
class View:
    """A page_view and what its page_leaves add to it."""

    seen: Seen
    entry: bool = False
    exit: bool = False
    bounced: bool = False
    gap: float | None = None
    dwell: list[float] = field(default_factory=list)
    scroll: list[float] = field(default_factory=list)
    load: list[float] = field(default_factory=list)


def _in_order(one: Seen) -> tuple[Any, ...]:
    return one.at, one.event_id


def views_of(visit: list[Seen]) -> list[View]:
    views = [View(one) for one in sorted(visit, key=_in_order) if one.name == "page_view"]
    for place, view in enumerate(views):
        view.entry, view.exit = place == 0, place == len(views) - 1
        view.bounced = len(views) == 1 and all(one.name in WITHOUT_DOING for one in visit)
        if not view.exit:
            view.gap = (views[place + 1].seen.at - view.seen.at) / timedelta(seconds=1)
        if view.seen.dwell_ms is not None:
            view.dwell.append(view.seen.dwell_ms / 1000)
    for leave in [one for one in visit if one.name == "page_leave"]:
        left = [view for view in views if view.seen.page == leave.page and view.seen.at <= leave.at]
        if left:
            properties = leave.properties or {}
            left[-1].dwell += [] if leave.dwell_ms is None else [leave.dwell_ms / 1000]
            left[-1].scroll += [properties["scroll_depth"]] if "scroll_depth" in properties else []
            left[-1].load += [properties["load_ms"]] if "load_ms" in properties else []
    return views


def pages(seen: list[Seen], zone: str, first: date, last: date) -> dict[str | None, dict[str, Any]]:
    """Page -> name -> value; `dwell_client`, `dwell_gap` and `load` are the sorted values that quantiles are taken of."""
    views: dict[str | None, list[View]] = defaultdict(list)
    touches: dict[str | None, list[Seen]] = defaultdict(list)
    for visit in cut(seen):
        if first <= visit[0].at.astimezone(ZoneInfo(zone)).date() <= last:
            for view in views_of(visit):
                views[view.seen.page].append(view)
            for one in visit:
                if one.name not in WITHOUT_DOING:
                    touches[one.page].append(one)
    of = sum(len(some) for some in views.values())
    return {page: _row(views[page], touches[page], of) for page in {*views, *touches}}


def _row(views: list[View], touches: list[Seen], of: int) -> dict[str, Any]:
    entries = [view for view in views if view.entry]
    client = [max(view.dwell) for view in views if view.dwell]
    gaps = [view.gap for view in views if not view.dwell and view.gap is not None and view.gap <= 1800]
    scrolls = [max(view.scroll) for view in views if view.scroll]
    return {
        "views": len(views),
        "subjects": len({view.seen.subject for view in views}),
        "share": _ratio(len(views), of, 4),
        "entries": len(entries),
        "exits": sum(view.exit for view in views),
        "exit_rate": _ratio(sum(view.exit for view in views), len(views), 4),
        "bounce_rate": _ratio(sum(view.bounced for view in entries), len(entries), 4),
        "dwell_client_known": len(client),
        "dwell_client_mean_s": _ratio(fsum(client), len(client), 3),
        "dwell_client": sorted(client),
        "dwell_gap_known": len(gaps),
        "dwell_gap_mean_s": _ratio(fsum(gaps), len(gaps), 3),
        "dwell_gap": sorted(gaps),
        "scroll_depth_mean": _ratio(fsum(scrolls), len(scrolls), 3),
        "interactions_per_view": _ratio(len(touches), len(views), 3),
        "load": sorted(max(view.load) for view in views if view.load),
        "elements": _elements(touches),
        "load_bands": _bands(views),
    }


def _elements(touches: list[Seen]) -> dict[str | None, tuple[int, int]]:
    """Element -> interactions, subjects."""
    by_element: dict[str | None, list[str]] = defaultdict(list)
    for one in touches:
        element = (one.properties or {}).get("element") if one.name == "tap" else None
        by_element[element].append(one.subject)
    return {element: (len(subjects), len(set(subjects))) for element, subjects in by_element.items()}


def _bands(views: list[View]) -> dict[str | None, tuple[int, float | None]]:
    """Band -> views, exit rate."""
    by_band: dict[str | None, list[bool]] = defaultdict(list)
    for view in views:
        load = max(view.load) if view.load else None
        name = None if load is None else next((band for band, ends in BANDS.items() if load < ends), "5000+")
        by_band[name].append(view.exit)
    return {band: (len(exits), _ratio(sum(exits), len(exits), 4)) for band, exits in by_band.items()}


def _ratio(part: float, whole: int, places: int) -> float | None:
    return round(part / whole, places) if whole else None
