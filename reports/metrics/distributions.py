"""distributions: sessions and subjects by where they came from, what they ran on, how long and how deep they were.

Asked: `from`, `to`. Sessions that began in the range count, each with all its events, as in the report `sessions`; whose
events: reports.metrics.standing. Every session lies in one `value` of each `dimension`:
- `scene` (entry source), `os`, `app_version`: the first that an event of the session gives; of several at one instant the
  first in the order of code points. None where none does.
- `dwell_band`: seconds from the session's first event to its last, a part of a second left out.
- `depth_band`: its views (`page_view`).
`sessions` and distinct `subjects` by each, and of all beside `data`. A subject may lie in several values.

The bands are fixed and public. For the gate each dimension is a table of its own: values with fewer than k subjects are
one row, `value_other`.
"""

from collections.abc import Mapping, Sequence
from datetime import timedelta

import numpy as np
from pyroaring import BitMap64

from reports.columns.events import Events, Numbers, span
from reports.columns.groups import alike, bitmap
from reports.columns.packed import CONTEXTS
from reports.columns.read import Reading
from reports.columns.visits import visits
from reports.metrics.bands import DEPTH_BANDS, STAY_BANDS, places
from reports.metrics.calendar import period
from reports.metrics.page_views import kinds_of
from reports.metrics.registry import Question, metric
from reports.metrics.session import scanned
from reports.metrics.tallies import Tallied
from reports.metrics.types import VIEWS, types_by_day
from reports.metrics.visited import COLUMNS, Sessions, edges, firsts, rows, together
from reports.metrics.whole import whole
from reports.privacy.figures import Dimension, Figures, Value

DIMENSIONS = (*CONTEXTS, "dwell_band", "depth_band")

DEFINITION = (
    "Sessions that began in the range (client session_id, otherwise cut at pauses over 30:00, 24 h at most), by "
    "corrected_at, and the distinct subjects who had them; each session lies in one value of each dimension. scene, os, "
    "app_version: the first that an event of the session gives, null where none does. dwell_band: seconds from first to "
    "last event. depth_band: page_views. Values with fewer than k subjects are one row, value_other. Only subjects whose "
    "consent and data stand at as_of are counted: who withdrew (withdrawn_subjects), was erased or is restricted is "
    "missing. closed false: the range is not over for 48 h, all values are one row, and figures may still change."
)

_SECOND = span(timedelta(seconds=1))
NONE = Tallied("sessions", 0, BitMap64())


@metric("distributions", definition=DEFINITION, anew=1)
def distributions(question: Question) -> Figures:
    """Under the tenant's transaction."""
    found = _visits(question)
    asked = period(question.first, question.last, question.zone)
    total = sum(found["depth_band"].values(), start=NONE).figures()
    tables = [
        Dimension(asked, "value", found[name], keys={"dimension": name}, tells=VIEWS if name == "depth_band" else None)
        for name in DIMENSIONS
    ]
    totals = {name: (asked, figure) for name, figure in total.items()}
    types = types_by_day(question, question.first, question.last)
    return Figures({"data": tables}, totals, summed="data", types=types, whole=whole(question))


def _visits(question: Question) -> Mapping[str, Mapping[Value, Tallied]]:
    """Dimension -> value -> its sessions."""
    of = period(question.first, question.last, question.zone)
    between, kinds = edges([(question.first, question.last)], question.zone), kinds_of(question.program_id)
    reading = Reading(question.program_id, scanned(of), (*COLUMNS, *CONTEXTS))

    def part(events: Events) -> tuple[Sessions, Mapping[str, Numbers]]:
        visited = visits(events, of)
        return rows(visited, between, kinds), {name: firsts(visited, name, reading.texts(name)) for name in CONTEXTS}

    parts = reading.each(part)
    sessions = together(some for some, _ in parts)
    found: dict[str, Mapping[Value, Tallied]] = {}
    for name in CONTEXTS:
        codes = np.concatenate([np.zeros(0, np.int64), *(said[name] for _, said in parts)])
        found[name] = _tallied(codes, reading.texts(name), sessions.subject)
    for name, bands, values in (
        ("dwell_band", STAY_BANDS, sessions.duration // _SECOND),
        ("depth_band", DEPTH_BANDS, sessions.views),
    ):
        found[name] = _tallied(places(bands, values), [told for _, told in bands], sessions.subject)
    return found


def _tallied(codes: Numbers, values: Sequence[Value], subjects: Numbers) -> dict[Value, Tallied]:
    """Of sessions, each with the place of its value among `values`."""
    order = np.argsort(codes, kind="stable")
    whose = subjects[order]
    return {
        values[code]: Tallied("sessions", where.stop - where.start, bitmap(whose[where]))
        for code, where in alike(codes[order])
    }
