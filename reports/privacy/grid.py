"""Values by days: what may be told of a longer interval beside the days and beside all values together.

On each day the values that are hidden are known together: all that is told of the day less the told values. Over the longer
interval a value is known where it is told: less its told days it is what it was on its hidden ones. Sums and differences of
these can leave any part of the grid that a labelling of days and values cuts: those cells whose day and value have other
labels. So a value is told only where each such cut has k subjects or none. The day, the value, and all values that
are not told (one label) are the vertices of a graph, hidden cells its edges; two vertices between which there are k subjects
are on the same side of each cut with fewer. Where everything that hangs together comes to be one vertex by that, no cut is small.
"""

from collections.abc import Collection, Mapping, Sequence

from pyroaring import BitMap64

from reports.privacy.figures import Value

Vertex = tuple[str, object]
Near = dict[Vertex, dict[Vertex, BitMap64]]
"""The subjects of the cells between two vertices, in both directions."""
REST: Vertex = ("rest", None)


def cutting(days: Sequence[Mapping[Value, BitMap64]], wanted: Collection[Value], k: int) -> set[Value]:
    """Which of the wanted may not be told. `days`: of each day what is hidden, and whose."""
    hidden: set[Value] = set()
    while True:
        told = {value for value in wanted if value not in hidden}
        near, members = _contracted(_graph(days, told, k), k)
        found = {
            value
            for group, vertices in members.items()
            if near[group] and REST not in vertices
            for kind, value in vertices
            if kind == "value" and (value is None or isinstance(value, str))
        }
        if not found:
            return hidden
        hidden |= found


def _graph(days: Sequence[Mapping[Value, BitMap64]], told: Collection[Value], k: int) -> Near:
    """Days whose hidden cells are fewer than k's have no vertex of their own: what was on them is not known by day."""
    near: Near = {REST: {}}
    for n, cells in enumerate(days):
        known = len(BitMap64().union(*cells.values())) >= k
        for value, whose in cells.items():
            _join(near, ("day", n) if known else REST, ("value", value) if value in told else REST, whose)
    return near


def _join(near: Near, one: Vertex, other: Vertex, whose: BitMap64) -> None:
    if one == other or not whose:
        return
    between = near.get(one, {}).get(other, BitMap64()) | whose
    near.setdefault(one, {})[other] = between
    near.setdefault(other, {})[one] = between


def _contracted(near: Near, k: int) -> tuple[Near, dict[Vertex, list[Vertex]]]:
    """With the vertices that each is made of; as long as there are two with k subjects between them, these become one."""
    members = {vertex: [vertex] for vertex in near}
    due = [(one, other) for one, others in near.items() for other in others]
    while due:
        one, other = due.pop()
        if one not in near or len(near[one].get(other, ())) < k:
            continue
        if len(near[one]) < len(near[other]):
            one, other = other, one
        members[one] += members.pop(other)
        for third, whose in near.pop(other).items():
            del near[third][other]
            if third != one:
                _join(near, one, third, whose)
                due.append((one, third))
    return near, members
