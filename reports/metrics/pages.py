"""pages (page heat): what was viewed, where visits began and ended, how long, how far and how fast.

Asked: `from`, `to`. Sessions that began in the range (reports.metrics.session) count with all their events, whole, as in
the report `sessions`; whose events: reports.metrics.standing. A *view* is a `page_view`; a row is a page path, None where
the events name none. Views of a session are in the order of their times, then of their event ids.

- `views`, `subjects`: views of the page, and distinct subjects who viewed it; both over all pages beside `data`.
- `share`: views of the page / views of all pages.
- `entries`, `exits`: views that are the first, the last of their session. `exit_rate`: exits / views.
- `bounce_rate`: entries whose session has no other view and no interaction / entries. Interactions: as in `sessions`.
- Dwell, seconds. From the client where it sent any for the view (`dwell_client_…`), otherwise the gap to the session's next
  view (`dwell_gap_…`); a gap of more than 30:00 is unknown, and so is the last view's. Each view counts in one of the
  two or in neither, and `_known` says in how many of `views`; then `_mean_s`, `_median_s`, `_p90_s`.
- `scroll_depth_mean`: over views with one, in the unit of the client.
- `interactions_per_view`: interactions that name the page / views.
- `load_p50_ms`, `load_p90_ms`: over views with a load time.
A `page_leave` belongs to the last view of its page, at or before it, in the session; of several dwell times, depths or load
times of one view the largest counts.

`elements`: interactions and subjects by tapped element of a page (`element` None: not a tap of an element).
`load_bands`: views and exit rate by load-time band of a page (`band` None: not known).

For the gate a cell rests on the subjects with what it counts, a part or rate also on those with the rest; `bounce_rate` on
those who left here without a bounce too, since exits less bounces are they; `_known` on those with a dwell time of either
kind and those with an unknown one, each split by whether the view was an exit, for the same reason. Medians and p90: reports.privacy.bins.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, NamedTuple, Self

from django.db import connection
from pyroaring import BitMap64

from reports.metrics.bands import DWELL_S, LOAD_BANDS, LOAD_MS, band, bin_of, number_of
from reports.metrics.calendar import period
from reports.metrics.registry import Question, metric
from reports.metrics.session import NUMBERED
from reports.metrics.sessions import scan
from reports.metrics.standing import EVENTS
from reports.privacy.bins import Filled, filled, quantiles
from reports.privacy.figures import (
    Count,
    Detail,
    Dimension,
    Distinct,
    Figure,
    Figures,
    Known,
    Mean,
    PartCount,
    Share,
    Value,
)

LONGEST_GAP_S = 1800

DEFINITION = (
    "Sessions that began in the range (client session_id, otherwise cut at pauses over 30:00, 24 h at most), with all "
    "their events, by corrected_at. A view is a page_view. share: of all views. exits / views: exit_rate. bounce_rate: "
    "sessions whose only view is this page and without an interaction / sessions that entered here; sessions without a "
    "view left out. dwell_client: the client's dwell_ms; dwell_gap: for the other views, the gap to the session's next "
    "one, unknown for the last and over 30:00; never mixed, known of views. Medians and p90 are interpolated within "
    "fixed bins that hold k subjects each; *_bin are the bin's edges, between which the true value lies (null: open). "
    "Pages with fewer than k subjects are one row, page_other. Only subjects whose consent and data stand at as_of are "
    "counted: who withdrew (withdrawn_subjects), was erased or is restricted is missing. closed false: the range is not "
    "over for 48 h, all pages are one row, and figures may still change."
)

# One scan. `paired` numbers a session's views of a page, and with them their page_leaves; `viewed` has one row a view.
# The last SELECTs are a cube: how many views and whose, of each page and each way of being viewed. Rows of two pages
# may be put together, and every figure made of them afterwards.
PAGES = f"""
    WITH visited AS (
        SELECT e.subject_id, e.corrected_at, e.session_id, e.event_id, e.page_id, t.name, e.dwell_ms,
               {number_of("'scroll_depth'")} AS scroll, {number_of("'load_ms'")} AS load,
               CASE WHEN t.name = 'tap' THEN e.properties ->> 'element' END AS element,
               width_bucket(e.corrected_at, %(edges)s::timestamptz[]) AS place
        FROM {EVENTS} AND e.corrected_at >= %(visits_from)s AND e.corrected_at < %(visits_until)s
    ),
    {NUMBERED},
    visit AS (
        SELECT subject_id, session_id, number, corrected_at, event_id, page_id, name, dwell_ms, scroll, load, element,
               interacted
        FROM (
            SELECT *, min(place) OVER visit AS began_in, bool_or(name <> ALL(%(passive)s)) OVER visit AS interacted
            FROM numbered WINDOW visit AS (PARTITION BY subject_id, session_id, number)
        ) AS of_visit WHERE began_in BETWEEN 1 AND %(places)s
    ),
    paired AS (
        SELECT subject_id, session_id, number, corrected_at, event_id, page_id, name, dwell_ms, scroll, load, interacted,
               count(*) FILTER (WHERE name = 'page_view') OVER (
                PARTITION BY subject_id, session_id, number, page_id
                ORDER BY corrected_at, name <> 'page_view', event_id ROWS UNBOUNDED PRECEDING
            ) AS nth
        FROM visit WHERE name IN ('page_view', 'page_leave')
    ),
    viewed AS (
        SELECT subject_id, session_id, number, page_id, bool_or(interacted) AS interacted,
               min(corrected_at) FILTER (WHERE name = 'page_view') AS at,
               min(event_id) FILTER (WHERE name = 'page_view') AS event_id,
               max(dwell_ms) / 1000.0 AS dwell, max(scroll) FILTER (WHERE name = 'page_leave') AS scroll,
               max(load) FILTER (WHERE name = 'page_leave') AS load
        FROM paired WHERE nth > 0 GROUP BY subject_id, session_id, number, page_id, nth
    ),
    placed AS (
        SELECT *, lag(at) OVER visit IS NULL AS entry, lead(at) OVER visit IS NULL AS exit,
               extract(epoch FROM lead(at) OVER visit - at) AS gap
        FROM viewed WINDOW visit AS (PARTITION BY subject_id, session_id, number ORDER BY at, event_id)
    ),
    measured AS (
        SELECT page_id, subject_id, entry, exit, entry AND exit AND NOT interacted AS bounced, scroll, load,
               CASE WHEN dwell IS NOT NULL THEN 'client' WHEN gap <= {LONGEST_GAP_S} THEN 'gap' END AS source,
               CASE WHEN dwell IS NOT NULL THEN dwell WHEN gap <= {LONGEST_GAP_S} THEN gap END AS dwell
        FROM placed
    ),
    views AS (
        SELECT page_id, entry, exit, bounced, source, {bin_of("dwell", "dwell_s")} AS dwell_bin,
               {bin_of("load", "load_ms")} AS load_bin, scroll IS NOT NULL AS scrolled,
               count(*) AS number, sum(dwell) AS dwell, sum(scroll) AS scroll, array_agg(subject_id) AS subjects
        FROM measured GROUP BY 1, 2, 3, 4, 5, 6, 7, 8
    ),
    touches AS (
        SELECT page_id, element, count(*) AS number, array_agg(subject_id) AS subjects
        FROM visit WHERE name <> ALL(%(passive)s) GROUP BY page_id, element
    )
    SELECT 'view', p.path, entry, exit, bounced, source, dwell_bin, load_bin, scrolled,
           number, coalesce(dwell, 0), coalesce(scroll, 0), subjects, NULL
    FROM views v LEFT JOIN page p ON p.id = v.page_id
    UNION ALL
    SELECT 'touch', p.path, NULL, NULL, NULL, NULL, NULL, NULL, NULL, number, NULL, NULL, subjects, element
    FROM touches i LEFT JOIN page p ON p.id = i.page_id
"""


class Views(NamedTuple):
    """Views of a page that are alike; `dwell` and `scroll` summed over them, `subjects` those who made them."""

    entry: bool
    exit: bool
    bounced: bool
    source: str | None
    dwell_bin: int | None
    load_bin: int | None
    scrolled: bool
    number: int
    dwell: Decimal
    scroll: Decimal
    subjects: BitMap64


@dataclass(frozen=True, slots=True)
class Touches:
    """Interactions with an element."""

    number: int
    subjects: BitMap64

    def __add__(self, other: Self) -> "Touches":
        return Touches(self.number + other.number, self.subjects | other.subjects)

    def figures(self) -> dict[str, Figure]:
        return {"interactions": Count(self.number, subjects=self.subjects), "subjects": Distinct(self.subjects)}


@dataclass(frozen=True, slots=True)
class Band:
    """Views of a load-time band."""

    views: tuple[Views, ...]

    @property
    def subjects(self) -> BitMap64:
        return _who(self.views)

    def __add__(self, other: Self) -> "Band":
        return Band(self.views + other.views)

    def figures(self) -> dict[str, Figure]:
        return {"views": Count(_number(self.views), subjects=self.subjects), "exit_rate": _exits(self.views)}


@dataclass(frozen=True, slots=True)
class Heat:
    """Everything about some pages; `of`: how many views all pages have."""

    views: tuple[Views, ...]
    touches: tuple[tuple[Value, Touches], ...]
    of: int

    @property
    def subjects(self) -> BitMap64:
        return _who(self.views).union(*(touched.subjects for _, touched in self.touches))

    def __add__(self, other: Self) -> "Heat":
        return Heat(self.views + other.views, self.touches + other.touches, self.of)

    def figures(self) -> dict[str, Figure]:
        views, viewers = _number(self.views), _who(self.views)
        entries, exits = _sides(self.views, "entry"), _sides(self.views, "exit")
        bounced = _sides(entries[0], "bounced")
        # Without an entry everybody is such a block: that no rate is defined would tell of a suppressed 0.
        told_less = _who(one for one in (exits[0] if entries[0] else self.views) if not one.bounced)
        scrolled = [one for one in self.views if one.scrolled]
        touched = BitMap64().union(*(touched.subjects for _, touched in self.touches))
        return {
            "views": Count(views, subjects=viewers),
            "subjects": Distinct(viewers),
            "share": Figure(round(views / self.of, 4) if self.of else None, viewers),
            "entries": PartCount(_number(entries[0]), inside=_who(entries[0]), outside=_who(entries[1])),
            "exits": PartCount(_number(exits[0]), inside=_who(exits[0]), outside=_who(exits[1])),
            "exit_rate": _exits(self.views),
            "bounce_rate": _rate(*bounced, told_less),
            **_dwell(self.views),
            "scroll_depth_mean": Mean(
                float(sum(one.scroll for one in scrolled)), _number(scrolled), subjects=_who(scrolled)
            ),
            "interactions_per_view": Mean(sum(one.number for _, one in self.touches), views, subjects=touched),
            **quantiles(LOAD_MS, _filled(self.views, "load_bin"), load_p50_ms=0.5, load_p90_ms=0.9),
        }


def elements(heat: Heat) -> Mapping[Value, Touches]:
    found: dict[Value, Touches] = {}
    for element, touched in heat.touches:
        found[element] = found[element] + touched if element in found else touched
    return found


def load_bands(heat: Heat) -> Mapping[Value, Band]:
    found: dict[Value, list[Views]] = defaultdict(list)
    for one in heat.views:
        found[None if one.load_bin is None else band(LOAD_BANDS, LOAD_MS[one.load_bin - 1])].append(one)
    return {name: Band(tuple(views)) for name, views in found.items()}


DETAILS = (
    Detail("elements", "element", ("interactions_per_view",), elements),
    Detail("load_bands", "band", ("views", "exit_rate"), load_bands),
)


@metric("pages", definition=DEFINITION)
def pages(question: Question) -> Figures:
    """Under the tenant's transaction."""
    found = _heat(question)
    asked = period(question.first, question.last, question.zone)
    viewers = BitMap64().union(*(_who(heat.views) for heat in found.values()))
    totals: dict[str, Figure] = {
        "views": Count(sum(_number(heat.views) for heat in found.values()), subjects=viewers),
        "subjects": Distinct(viewers),
    }
    return Figures(
        {"data": [Dimension(asked, "page", found, details=DETAILS)], "elements": [], "load_bands": []},
        {name: (asked, figure) for name, figure in totals.items()},
        summed="data",
    )


def _heat(question: Question) -> Mapping[Value, Heat]:
    """By path."""
    views: dict[Value, list[Views]] = defaultdict(list)
    touches: dict[Value, list[tuple[Value, Touches]]] = defaultdict(list)
    with connection.cursor() as cursor:
        cursor.execute(PAGES, {**scan(question), "dwell_s": list(DWELL_S), "load_ms": list(LOAD_MS)})
        for kind, path, *alike, subjects, element in cursor.fetchall():
            if kind == "view":
                views[path].append(Views._make([*alike, BitMap64(subjects)]))
            else:
                touches[path].append((element, Touches(alike[7], BitMap64(subjects))))
    of = sum(_number(some) for some in views.values())
    return {path: Heat(tuple(views[path]), tuple(touches[path]), of) for path in {*views, *touches}}


def _who(views: Iterable[Views]) -> BitMap64:
    return BitMap64().union(*(one.subjects for one in views))


def _number(views: Iterable[Views]) -> int:
    return sum(one.number for one in views)


def _sides(views: Iterable[Views], flag: str) -> tuple[list[Views], list[Views]]:
    """Those with the flag, and the rest."""
    inside: list[Views] = []
    outside: list[Views] = []
    for one in views:
        (inside if getattr(one, flag) else outside).append(one)
    return inside, outside


def _rate(inside: list[Views], outside: list[Views], *further: BitMap64) -> Share:
    part = _number(inside)
    return Share(part, part + _number(outside), *further, inside=_who(inside), outside=_who(outside))


def _exits(views: Iterable[Views]) -> Share:
    return _rate(*_sides(views, "exit"))


def _filled(views: Iterable[Views], name: str) -> Filled:
    return filled((getattr(one, name), one.number, one.subjects) for one in views)


def _dwell(views: Iterable[Views]) -> dict[str, Figure]:
    by_source: dict[Any, list[Views]] = {"client": [], "gap": [], None: []}
    for one in views:
        by_source[one.source].append(one)
    # Exits are told too, and those that are unknown are among them: what is unknown and no exit is a block by itself.
    rests = [_who(part) for some in by_source.values() for part in _sides(some, "exit")]
    figures: dict[str, Figure] = {}
    for name in ("client", "gap"):
        some, of = by_source[name], f"dwell_{name}"
        figures[f"{of}_known"] = Known(_number(some), *rests)
        figures[f"{of}_mean_s"] = Mean(float(sum(one.dwell for one in some)), _number(some), subjects=_who(some))
        figures |= quantiles(DWELL_S, _filled(some, "dwell_bin"), **{f"{of}_median_s": 0.5, f"{of}_p90_s": 0.9})
    return figures
