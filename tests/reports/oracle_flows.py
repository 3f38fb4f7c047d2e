"""The gate of paths once more, slowly and another way: session by session in plain Python, by the words of reports.privacy.flows."""

from collections import defaultdict
from collections.abc import Iterator, Sequence
from typing import NamedTuple

Node = str | None
"""A name; None is the node without one."""


class Path(NamedTuple):
    nodes: tuple[Node, ...]
    subject: int


Place = tuple[str, Node]
"""`node` and its name, or `other`; where a path has no node, `stop`."""
OTHER: Place = ("other", None)
STOP: Place = ("stop", None)
Row = tuple[str, dict[str, object], dict[str, int | None]]
"""Of a table: what it is about, and its cells, None where a cell is hidden."""


def flows(paths: Sequence[Path], steps: int, k: int, *, all_closed: bool, backward: bool) -> Iterator[Row]:
    """All rows in their order."""
    here = split(paths, 0, k, all_closed=all_closed)
    for step in range(1, steps + 1):
        arrived: dict[Place, list[Path]] = defaultdict(list)
        for place in sorted(here, key=by_name):
            there = here[place]
            yield "nodes", {"step": step, **said("name", place)}, {"sessions": told(there, k)}
            if step == steps or people(there) < k:
                continue
            ways = split(there, step, k, all_closed=all_closed)
            for way in sorted(ways, key=by_name):
                counts = {"subjects": people(ways[way]) if told(ways[way], k) else None}
                if way == STOP:
                    counts["sessions"] = told(ways[way], k)
                    yield "drop_offs", {"step": step, **said("name", place)}, counts
                    continue
                counts["transitions"] = told(ways[way], k)
                ends = (way, place) if backward else (place, way)
                yield "links", {"step": step, **said("source", ends[0]), **said("target", ends[1])}, counts
                arrived[way] += ways[way]
        here = arrived


def split(paths: Sequence[Path], step: int, k: int, *, all_closed: bool) -> dict[Place, list[Path]]:
    """By the node that comes next."""
    ways: dict[Place, list[Path]] = defaultdict(list)
    for path in paths:
        ways[("node", path.nodes[step]) if step < len(path.nodes) else STOP].append(path)
    total = not all_closed and k > 1
    others = [way for way in ways if total or people(ways[way]) < k]
    while others and people([path for way in others for path in ways[way]]) < k and len(others) < len(ways):
        rest = [way for way in ways if way not in others]
        others.append(min(rest, key=lambda way: (people(ways[way]), by_name(way))))
    merged = [path for way in others for path in ways.pop(way)]
    return {**ways, OTHER: merged} if merged else ways


def people(paths: Sequence[Path]) -> int:
    return len({path.subject for path in paths})


def told(paths: Sequence[Path], k: int) -> int | None:
    return len(paths) if people(paths) >= k else None


def by_name(place: Place) -> tuple[bool, int, str]:
    """The node without a name, stopping, names, `other`."""
    kind, name = place
    return kind == "other", ("node", "stop").index(kind) if name is None and kind != "other" else 2, name or ""


def said(name: str, place: Place) -> dict[str, object]:
    return {name: place[1], f"{name}_other": place == OTHER}
