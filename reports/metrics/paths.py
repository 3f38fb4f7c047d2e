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

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from consent.errors import invalid
from reports.columns.events import Events, Numbers
from reports.columns.groups import changes
from reports.columns.read import Reading
from reports.columns.visits import Visits, visits
from reports.metrics.calendar import period
from reports.metrics.catalogue import type_ids
from reports.metrics.registry import Question, metric
from reports.metrics.session import scanned
from reports.metrics.whole import whole
from reports.privacy.figures import Figures, Flows, Period, Value, Walked
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

Sequence = Literal["page", "event"]


@dataclass(frozen=True, slots=True)
class Paths:
    """What is asked beside dates; `start` or `end` or neither."""

    sequence: Sequence = "page"
    start: str | None = None
    end: str | None = None
    steps: int = 5


@dataclass(frozen=True, slots=True)
class Followed:
    """What is asked of each session, in ids: the column of its nodes, the one to begin at, and the type of its events, if any.

    `anchor` None: its first node. `backward`: from the anchor's last time on, otherwise from its first.
    """

    node: Literal["page", "type"]
    anchor: int | None
    type: int | None
    steps: int
    backward: bool


@metric("paths", definition=DEFINITION)
def paths(question: Question) -> Figures:
    """Under the tenant's transaction. Raises Invalid `unknown_event`."""
    asked = question.options if isinstance(question.options, Paths) else Paths()
    of = period(question.first, question.last, question.zone)
    flows = Flows(of, _paths(question, of, asked), backward=asked.end is not None)
    return Figures({"nodes": [], "links": [flows], "drop_offs": []}, whole=whole(question))


def nodes_of(of: Visits, followed: Followed) -> tuple[Numbers, Numbers]:
    """A row a session that has a path: its nodes, sessions x steps, -1 where it has no more; and whose it is."""
    number, node, subject = of.number, of.events[followed.node], of.events.subject
    if followed.type is not None:
        kept = of.events["type"] == followed.type
        number, node, subject = number[kept], node[kept], subject[kept]
    if followed.backward:
        number, node, subject = number[::-1], node[::-1], subject[::-1]
    moves = changes(number) | changes(node)
    number, node, subject = number[moves], node[moves], subject[moves]
    held = np.flatnonzero(node == followed.anchor) if followed.anchor is not None else np.arange(len(node))
    begins = held[changes(number[held])]
    ends = np.append(np.flatnonzero(changes(number)), len(number))
    places = begins[:, None] + np.arange(followed.steps)
    there = places < ends[np.searchsorted(ends, begins, side="right")][:, None]
    return np.where(there, node[np.where(there, places, 0)], -1), subject[begins]


def _paths(question: Question, of: Period, asked: Paths) -> Walked:
    followed = _followed(question.program_id, asked)
    places = {-1: -1}

    def follow(events: Events) -> tuple[NDArray[np.int32], Numbers]:
        """As `nodes_of`, by the nodes' places."""
        ids, whose = nodes_of(visits(events, of), followed)
        seen = np.unique(ids)
        numbers = [places.setdefault(node, len(places) - 1) for node in seen.tolist()]
        return np.array(numbers, dtype=np.int32)[np.searchsorted(seen, ids)], whose

    reading = Reading(question.program_id, scanned(of), ("type", "session", followed.node))
    found = [(np.zeros((0, asked.steps), np.int32), np.zeros(0, np.int64)), *reading.each(follow)]
    nodes, subjects = (np.concatenate(column) for column in zip(*found, strict=True))
    _, *known = places
    names = _names(question.program_id, asked, known)
    return Walked(nodes, subjects, [names.get(node) for node in known])


def _followed(program_id: int, asked: Paths) -> Followed:
    named = {"/start": asked.start, "/end": asked.end}
    name = asked.start if asked.end is None else asked.end
    backward = asked.end is not None
    if asked.sequence == "event":
        return Followed("type", type_ids(program_id, named).get(name or ""), None, asked.steps, backward)
    page = Page.objects.filter(program_id=program_id, path=name).first()
    # Whether a page was ever viewed is for the figures to tell: one that was not has no path.
    anchor = None if name is None else -1 if page is None else page.pk
    return Followed("page", anchor, _page_view(program_id), asked.steps, backward)


def _page_view(program_id: int) -> int:
    """Raises Invalid `unknown_event` where the catalogue has none."""
    found = EventType.objects.filter(program_id=program_id, name="page_view").first()
    if found is None:
        raise invalid("unknown_event", "the catalogue has no page_view; ask for the sequence of events", "/sequence")
    return found.pk


def _names(program_id: int, asked: Paths, nodes: Collection[int]) -> Mapping[int, Value]:
    if asked.sequence == "event":
        return dict(EventType.objects.filter(program_id=program_id, id__in=nodes).values_list("id", "name"))
    return dict(Page.objects.filter(program_id=program_id, id__in=nodes).values_list("id", "path"))
