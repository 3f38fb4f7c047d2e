"""paths: where people went, one page or event after another, within a session.

Asked: `from`, `to`, and
- `sequence`: `page`, the pages viewed (`page_view`; null: the view names none), or `event`, all events by their name.
- `start`: forward from the first time that this page or event comes in a session; `end`: backward from the last time;
  neither: forward from the session's beginning. Sessions in which it does not come are left out.
- `steps`: how many nodes a path has at most, 2 to 20.
Sessions that began in the range count, with all their events, as in the report `sessions`; whose events:
reports.metrics.standing. Within a session they are in the order of their times, then of their event ids; consecutive repeats
are folded into one. A session has one path.

`data`, in which steps are numbered from 1, the start or the end:
- `nodes`, a row a `step` and `name`: `sessions` whose path has it there.
- `links`, between `source` and `target`, in the order of time: `transitions`, how many paths take it, and distinct
  `subjects`. `step`: that of the source; of a backward link that of the target, since it leads up to it.
- `drop_offs`: `sessions` and `subjects` of paths that end at a node (backward: that begin there). A path that was cut at the
  last of `steps` ends nowhere, so that step has none.

For the gate: reports.privacy.flows. `name_other`, `source_other`, `target_other`: few went there.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from django.db import connection
from pyroaring import BitMap64

from consent.errors import invalid
from reports.metrics.calendar import period
from reports.metrics.catalogue import type_ids
from reports.metrics.registry import Question, metric
from reports.metrics.session import NUMBERED
from reports.metrics.sessions import scan
from reports.metrics.standing import EVENTS
from reports.privacy.figures import Figures, Flows, Path, Value
from tracking.models import EventType, Page

DEFINITION = (
    "Sessions that began in the range (client session_id, otherwise cut at pauses over 30:00, 24 h at most), by "
    "corrected_at, each with one path of its pages (page_view) or events: forward from the first start, or backward from the "
    "last end; consecutive repeats folded. transitions: paths that take a link; subjects: distinct. drop_offs: paths that end "
    "(backward: begin) at a node before the last step. Where fewer than k subjects go from a node to another or stop, all of "
    "these go to one node, other, and on from there. Only subjects whose consent and data stand at as_of are counted: who "
    "withdrew (withdrawn_subjects), was erased or is restricted is missing. closed false: the range is not over for 48 h, "
    "all nodes are other, and figures may still change."
)

# `folded` has a row a node, numbered by `nth`; `anchor` is where the session's path is held fast.
PATHS = f"""
    WITH visited AS (
        SELECT e.subject_id, e.corrected_at, e.session_id, e.event_id, e.type_id, coalesce(e.page_id, 0) AS page,
               width_bucket(e.corrected_at, %(edges)s::timestamptz[]) AS place
        FROM {EVENTS} AND e.corrected_at >= %(visits_from)s AND e.corrected_at < %(visits_until)s
    ),
    {NUMBERED},
    nodes AS (
        SELECT subject_id, session_id, number, corrected_at, event_id, {{node}} AS node, type_id,
               min(place) OVER (PARTITION BY subject_id, session_id, number) AS began_in
        FROM numbered
    ),
    moved AS (
        SELECT *, lag(node) OVER (PARTITION BY subject_id, session_id, number ORDER BY corrected_at, event_id)
               IS DISTINCT FROM node AS is_move
        FROM nodes WHERE began_in BETWEEN 1 AND %(places)s AND (%(type)s::bigint IS NULL OR type_id = %(type)s::bigint)
    ),
    folded AS (
        SELECT subject_id, session_id, number, node,
               row_number() OVER (PARTITION BY subject_id, session_id, number ORDER BY corrected_at, event_id) AS nth
        FROM moved WHERE is_move
    ),
    held AS (
        SELECT *, {{anchor}} OVER (PARTITION BY subject_id, session_id, number) AS anchor FROM folded
    ),
    of_session AS (
        SELECT subject_id, array_agg(node ORDER BY abs(nth - anchor)) AS path
        FROM held WHERE {{side}} AND abs(nth - anchor) < %(steps)s GROUP BY subject_id, session_id, number
    )
    SELECT path, count(*), array_agg(subject_id) FROM of_session GROUP BY path
"""
_NODE = {"page": "page", "event": "type_id"}

Sequence = Literal["page", "event"]


@dataclass(frozen=True, slots=True)
class Paths:
    """What is asked beside dates; `start` or `end` or neither."""

    sequence: Sequence = "page"
    start: str | None = None
    end: str | None = None
    steps: int = 5


@metric("paths", definition=DEFINITION)
def paths(question: Question) -> Figures:
    """Under the tenant's transaction. Raises Invalid `unknown_event`."""
    asked = question.options if isinstance(question.options, Paths) else Paths()
    of = period(question.first, question.last, question.zone)
    flows = Flows(of, _paths(question, asked), asked.steps, backward=asked.end is not None)
    return Figures({"nodes": [], "links": [flows], "drop_offs": []})


def statement(asked: Paths) -> str:
    """PATHS for a direction."""
    anchors = {
        "start": ("min(nth) FILTER (WHERE node = %(anchor)s)", "nth >= anchor"),
        "end": ("max(nth) FILTER (WHERE node = %(anchor)s)", "nth <= anchor"),
        "neither": ("min(nth)", "nth >= anchor"),
    }
    anchor, side = anchors["end" if asked.end is not None else "start" if asked.start is not None else "neither"]
    return PATHS.format(node=_NODE[asked.sequence], anchor=anchor, side=side)


def _paths(question: Question, asked: Paths) -> list[Path]:
    names = {"/start": asked.start, "/end": asked.end}
    name = asked.start if asked.end is None else asked.end
    program_id = question.program_id
    if asked.sequence == "event":
        anchor, seen = type_ids(program_id, names).get(name or ""), None
    else:
        row = Page.objects.filter(program_id=program_id, path=name).first()
        # Whether a page was ever viewed is for the figures to tell: one that was not has no path.
        anchor, seen = row.pk if row is not None else -1, _page_view(program_id)
    parameters: dict[str, Any] = {**scan(question), "anchor": anchor, "steps": asked.steps, "type": seen}
    with connection.cursor() as cursor:
        cursor.execute(statement(asked), parameters)
        found = cursor.fetchall()
    called = _names(program_id, asked, {node for path, _, _ in found for node in path})
    return [
        Path(tuple(called.get(node) for node in path), sessions, BitMap64(subjects))
        for path, sessions, subjects in found
    ]


def _page_view(program_id: int) -> int:
    """Raises Invalid `unknown_event` where the catalogue has none."""
    found = EventType.objects.filter(program_id=program_id, name="page_view").first()
    if found is None:
        raise invalid("unknown_event", "the catalogue has no page_view; ask for the sequence of events", "/sequence")
    return found.pk


def _names(program_id: int, asked: Paths, nodes: set[int]) -> Mapping[int, Value]:
    if asked.sequence == "event":
        return dict(EventType.objects.filter(program_id=program_id, id__in=nodes).values_list("id", "name"))
    return dict(Page.objects.filter(program_id=program_id, id__in=nodes).values_list("id", "path"))
