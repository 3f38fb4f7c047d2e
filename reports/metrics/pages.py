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

from collections.abc import Mapping, Sequence

import numpy as np
from pyroaring import BitMap64

from reports.columns.read import Reading
from reports.columns.visits import visits
from reports.metrics.calendar import period
from reports.metrics.heat import DETAILS, TOUCH, VIEW, Heat, Records, split_by
from reports.metrics.page_views import COLUMNS, kinds_of, views_and_touches
from reports.metrics.registry import Question, metric
from reports.metrics.session import scanned
from reports.metrics.types import VIEWS, types_by_day
from reports.metrics.whole import whole
from reports.privacy.figures import Count, Dimension, Distinct, Figure, Figures, Value
from tracking.models import Page

DEFINITION = (
    "Sessions that began in the range (client session_id, otherwise cut at pauses over 30:00, 24 h at most), with all "
    "their events, by corrected_at. A view is a page_view. share: of all views. exits / views: exit_rate. bounce_rate: "
    "sessions whose only view is this page and without an interaction / sessions that entered here; sessions without a "
    "view left out. dwell_client: the client's dwell_ms; dwell_gap: for the other views, the gap to the session's next "
    "one, unknown for the last and over 30:00; never mixed, known of views. Medians and p90: the middle of "
    "a fixed bin that holds k subjects; *_bin are its edges, between which the true value lies (null: open, the lower "
    "one is told). elements: all interactions with a page, tap or not, by tapped element; load_bands: its views by load "
    "time in ms; null: none. "
    "Pages with fewer than k subjects are one row, page_other. Only subjects whose consent and data stand at as_of are "
    "counted: who withdrew (withdrawn_subjects), was erased or is restricted is missing. closed false: the range is not "
    "over for 48 h, all pages are one row, and figures may still change."
)


@metric("pages", definition=DEFINITION, anew=1)
def pages(question: Question) -> Figures:
    """Under the tenant's transaction."""
    found = _heat(question)
    asked = period(question.first, question.last, question.zone)
    viewers = BitMap64().union(*(heat.viewers for heat in found.values()))
    totals: dict[str, Figure] = {
        "views": Count(sum(len(heat.views) for heat in found.values()), subjects=viewers),
        "subjects": Distinct(viewers),
    }
    return Figures(
        {"data": [Dimension(asked, "page", found, details=DETAILS)], "elements": [], "load_bands": []},
        {name: (asked, figure) for name, figure in totals.items()},
        summed="data",
        of_type={"views": VIEWS, "share": VIEWS},
        types=types_by_day(question, question.first, question.last),
        whole=whole(question),
    )


def _heat(question: Question) -> Mapping[Value, Heat]:
    """By path."""
    asked = period(question.first, question.last, question.zone)
    reading = Reading(question.program_id, scanned(asked), COLUMNS)
    kinds = kinds_of(question.program_id)
    found = reading.each(lambda events: views_and_touches(visits(events, asked), kinds))
    viewed = np.concatenate([np.zeros(0, VIEW), *(views for views, _ in found)])
    touched = np.concatenate([np.zeros(0, TOUCH), *(touches for _, touches in found)])
    return _by_path(question.program_id, viewed, touched, reading.texts("element"))


def _by_path(program_id: int, viewed: Records, touched: Records, elements: Sequence[Value]) -> Mapping[Value, Heat]:
    by_page, touches_by_page = split_by(viewed, viewed["page"]), split_by(touched, touched["page"])
    pages = by_page.keys() | touches_by_page.keys()
    paths = dict(Page.objects.filter(program_id=program_id, id__in=pages).values_list("id", "path"))
    found: dict[Value, Heat] = {}
    for page in pages:
        path = paths.get(page)
        here, touches = by_page.get(page, np.zeros(0, VIEW)), touches_by_page.get(page, np.zeros(0, TOUCH))
        heat = Heat((here,), (touches,), elements, len(viewed))
        found[path] = found[path] + heat if path in found else heat
    return found
