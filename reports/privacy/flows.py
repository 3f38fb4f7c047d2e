"""The gate of paths: each link rests on k subjects, and so does whatever is left of a node when its links are taken away.

Step by step from the first. From a node everybody goes on to another or stops; to where fewer than k subjects go, or where
fewer stop, all of these go to the node `other` together (reports.privacy.dimensions.merged_parts: `other` takes in the
smallest links until it has k), and *they go on from there*. So what arrives at a node is what the told links bring and what
leaves it is the same: the links out of a node tell nothing of a hidden link into it. Who stopped and was merged into
`other` stops there, one step later.

A table of fewer than k is one node, and suppressed. A period that is not closed is told as a total: all nodes are `other`.
The distinct subjects of a node are not told: its links overlap, and the difference could be few.
"""

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from pyroaring import BitMap64

from reports.privacy.cells import cell_of, closed
from reports.privacy.dimensions import ReleasedRow, merged_parts
from reports.privacy.figures import Count, Distinct, Figure, Flows, Path, Value, walked

STOPS = "."
"""Beside nodes, which are `_named`."""

Node = tuple[Value, bool]
"""Its name, and whether it is other."""

OTHER: Node = (None, True)


@dataclass(frozen=True, slots=True)
class Moves:
    """Paths that go the same way."""

    paths: tuple[Path, ...]

    @property
    def subjects(self) -> BitMap64:
        return BitMap64().union(*(path.subjects for path in self.paths))

    def __add__(self, other: "Moves") -> "Moves":
        return Moves(self.paths + other.paths)

    def figures(self) -> Mapping[str, Figure]:
        return self.counted("transitions")

    def counted(self, name: str) -> Mapping[str, Figure]:
        subjects = self.subjects
        return {name: Count(sum(path.number for path in self.paths), subjects=subjects), "subjects": Distinct(subjects)}


def released_flows(flows: Flows, k: int, as_of: datetime) -> Iterator[tuple[str, ReleasedRow]]:
    """(table, row) of `nodes`, `links` and `drop_offs`."""
    over = closed(flows.period, as_of)

    def row(keys: Mapping[str, object], figures: Mapping[str, Figure]) -> ReleasedRow:
        return ReleasedRow(keys, {name: cell_of(one, flows.period, k, as_of) for name, one in figures.items()}, over)

    here = {node: moves.paths for node, moves in _split(walked(flows), 0, k, over=over) if node is not None}
    for step in range(1, flows.steps + 1):
        following: dict[Node, tuple[Path, ...]] = {}
        for node, paths in here.items():
            of = Moves(paths)
            named = {"step": step, **_keys("name", node)}
            yield "nodes", row(named, {"sessions": of.counted("sessions")["sessions"]})
            if step == flows.steps or len(of.subjects) < k:
                continue
            for to, moves in _split(paths, step, k, over=over):
                if to is None:
                    yield "drop_offs", row(named, moves.counted("sessions"))
                    continue
                source, target = (to, node) if flows.backward else (node, to)
                yield (
                    "links",
                    row({"step": step, **_keys("source", source), **_keys("target", target)}, moves.figures()),
                )
                following[to] = following.get(to, ()) + moves.paths
        here = dict(sorted(following.items(), key=lambda one: (one[0][1], one[0][0] or "")))


def _split(paths: Sequence[Path], step: int, k: int, *, over: bool) -> list[tuple[Node | None, Moves]]:
    """By the node that follows after so many, None where they stop; each has k subjects, but an `other` that is alone."""
    by_node: dict[Value, list[Path]] = defaultdict(list)
    for path in paths:
        by_node[_named(path.nodes[step]) if len(path.nodes) > step else STOPS].append(path)
    parts = merged_parts({value: Moves(tuple(some)) for value, some in by_node.items()}, k, all_closed=over)
    split: list[tuple[Node | None, Moves]] = []
    for part in parts:
        if not part.other:
            node = None if part.value == STOPS else (_plain(part.value), False)
            split.append((node, Moves(tuple(by_node.pop(part.value)))))
    if by_node:
        split.append((OTHER, Moves(tuple(path for some in by_node.values() for path in some))))
    return split


def _named(name: Value) -> Value:
    """So that no name is taken for STOPS."""
    return None if name is None else f"={name}"


def _plain(named: Value) -> Value:
    return None if named is None else named[1:]


def _keys(name: str, node: Node) -> dict[str, object]:
    return {name: node[0], f"{name}_other": node[1]}
