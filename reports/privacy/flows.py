"""The gate of paths: each link rests on k subjects, and so does whatever is left of a node when its links are taken away.

Step by step from the first. From a node everybody goes on to another or stops; to where fewer than k subjects go, or where
fewer stop, all of these go to the node `other` together, and *they go on from there*. Where these are fewer than k, the smallest
link goes there, too (as in reports.privacy.dimensions.merged_parts; of several the first by name, and one is enough, since it has
k itself). So what arrives at a node is what the told links bring and what leaves it is the same: the links out of a node tell
nothing of a hidden link into it. Who stopped and was merged into `other` stops there, one step later.

A table of fewer than k is one node, and suppressed. A period that is not closed is told as a total: all nodes are `other`.
The distinct subjects of a node are not told: its links overlap, and the difference could be few.

Sessions are rows of arrays, and what they do is counted by sorting: only what is told becomes an object.
"""

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from functools import cache
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from reports.privacy.cells import Cell, cell_of, closed
from reports.privacy.dimensions import ReleasedRow
from reports.privacy.figures import Count, Flows, Value, Walked, walked

Node = tuple[Value, bool]
"""Its name, and whether it is other."""

OTHER: Node = (None, True)
UNNAMED: Node = (None, False)
STOPS = 1
"""In the place of a node: the path has none there. By name it comes after the node that has none."""

ROOM = 8
"""So many times as many keys as sessions are counted one by one, of 100,000 sessions at least: a count and the place of its key
have 8 bytes each."""

Numbers = NDArray[np.int64]


class Groups(NamedTuple):
    """Sessions by a key, ascending: how many there are of each, and of how many subjects. `of`: the group of each session."""

    keys: Numbers
    sessions: Numbers
    subjects: Numbers
    of: Numbers


def released_flows(flows: Flows, k: int, as_of: datetime) -> Iterator[tuple[str, ReleasedRow]]:
    """(table, row) of `nodes`, `links` and `drop_offs`."""
    over = closed(flows.period, as_of)
    nodes = _nodes(walked(flows).names)

    @cache
    def cell(number: int, subjects: int) -> Cell:
        return cell_of(Count(number, subjects=subjects), flows.period, k, as_of)

    def row(keys: Mapping[str, object], name: str, sessions: int, subjects: int) -> ReleasedRow:
        return ReleasedRow(keys, {name: cell(sessions, subjects), "subjects": cell(subjects, subjects)}, over)

    for step, (there, ways) in enumerate(_steps(walked(flows), nodes, k, all_closed=over), start=1):
        onward = _by_source(ways, len(nodes))
        for number, sessions, subjects in zip(*(of.tolist() for of in there[:3]), strict=True):
            name, other = node = nodes[number]
            named = {"step": step, "name": name, "name_other": other}
            yield "nodes", ReleasedRow(named, {"sessions": cell(sessions, subjects)}, over)
            for target, *counts in onward[number]:
                if target == STOPS:
                    yield "drop_offs", row(named, "sessions", *counts)
                    continue
                ends = (nodes[target], node) if flows.backward else (node, nodes[target])
                (source, source_other), (end, end_other) = ends
                keys = {
                    "step": step,
                    "source": source,
                    "source_other": source_other,
                    "target": end,
                    "target_other": end_other,
                }
                yield "links", row(keys, "transitions", *counts)


def _nodes(names: Sequence[Value]) -> list[Node]:
    """By name, the one without first; OTHER is last. The second is none: it stands for STOPS."""
    named = {name for name in names if name is not None}
    return [UNNAMED, UNNAMED, *((name, False) for name in sorted(named)), OTHER]


def _steps(paths: Walked, nodes: Sequence[Node], k: int, *, all_closed: bool) -> Iterator[tuple[Groups, Groups]]:
    """Of each step the sessions by node, and by where they are and go (of keys as in _by_source); none of the last step."""
    width = len(nodes)
    places = {name: place for place, (name, _) in enumerate(nodes)} | {None: 0}
    # A path that stopped has -1 for a node, which is the last one here.
    place = np.array([*(places[name] for name in paths.names), STOPS])
    subject = np.unique(paths.subjects, return_inverse=True)[1]
    on = np.arange(len(subject))
    here = _told(np.zeros_like(on), place[paths.nodes[:, 0]], subject, width, k, all_closed=all_closed)
    for step in range(1, paths.nodes.shape[1]):
        there = _grouped(here, subject[on])
        enough = (there.subjects >= k)[there.of]
        on, here = on[enough], here[enough]
        target = _told(here, place[paths.nodes[on, step]], subject[on], width, k, all_closed=all_closed)
        yield there, _grouped(here * width + target, subject[on])
        on, here = on[target != STOPS], target[target != STOPS]
    yield _grouped(here, subject[on]), _grouped(on[:0], on[:0])


def _told(source: Numbers, target: Numbers, subject: Numbers, width: int, k: int, *, all_closed: bool) -> Numbers:
    """Where each session goes: its target, or OTHER, which is the last of `width` nodes."""
    ways = _grouped(source * width + target, subject)
    hidden = ways.subjects < k if all_closed or k == 1 else np.ones(len(ways.keys), dtype=bool)
    merged = hidden[ways.of]
    others = _grouped(source[merged], subject[merged])
    lacking = others.keys[others.subjects < k]
    begins = ways.keys // width
    rest = np.flatnonzero(~hidden & np.isin(begins, lacking))
    rest = rest[np.lexsort((ways.subjects[rest], begins[rest]))]
    hidden[rest[np.unique(begins[rest], return_index=True)[1]]] = True
    return np.where(hidden[ways.of], width - 1, target)


def _grouped(keys: Numbers, subject: Numbers) -> Groups:
    """`subject`: numbers from 0, so that they fit beside those of groups."""
    found, of, sessions = _numbered(keys)
    people = subject.max(initial=0) + 1
    pairs = np.sort(of * people + subject)
    each = pairs[np.diff(pairs, prepend=-1) > 0] // people
    return Groups(found, sessions, np.bincount(each, minlength=len(found)), of)


def _numbered(keys: Numbers) -> tuple[Numbers, Numbers, Numbers]:
    """The distinct keys, the place among them of each, and how often they come. Counted where there is room for a count of
    every key, since sorting takes far longer."""
    if keys.max(initial=0) >= ROOM * max(len(keys), 100_000):
        return np.unique(keys, return_inverse=True, return_counts=True)
    number = np.bincount(keys)
    found = np.flatnonzero(number)
    place = np.cumsum(number > 0) - 1
    return found, place[keys], number[found]


def _by_source(ways: Groups, width: int) -> Mapping[int, list[tuple[int, int, int]]]:
    """Of keys `source * width + target`: by source each target, sessions and subjects."""
    found: dict[int, list[tuple[int, int, int]]] = defaultdict(list)
    for key, sessions, subjects in zip(*(of.tolist() for of in ways[:3]), strict=True):
        source, target = divmod(key, width)
        found[source].append((target, sessions, subjects))
    return found
