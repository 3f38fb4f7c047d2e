"""The gate of a table by the values of a dimension over two periods: what changed, and where.

A value has a row of its own where the gate would tell its cells in the table of each period alone (reports.privacy.dimensions),
or nobody has it in that period: then it appeared or vanished, and is 0 there. All others are one row `other`, in both periods
the same values, added before any figure is made; it takes in the smallest rows until its own cells may be told. So in
each period `other` is what that period's own table leaves when told rows are taken from it, and the two together tell no
more of an additive column than the tables of the periods do. Of distinct subjects `other` is a union that they do not tell:
beside theirs it tells how far rows overlap.

A period that is not closed has no rows of values: all is `other`, as there.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime

from reports.privacy.cells import Status, cell_of, closed
from reports.privacy.dimensions import Judged, Part, ReleasedRow, added, judged, order
from reports.privacy.figures import Change, Dimension, Tally, Value, parted, parted_by

NAME = "value"


def judged_change(change: Change, k: int, as_of: datetime) -> list[Judged]:
    """In the order of values, `other` last: there too where nobody is in any value."""
    dimensions = [*change.before, *change.after]
    there = [_there(dimension) for dimension in dimensions]
    told = [_told(dimension, k, as_of) for dimension in dimensions]
    # Somebody may still come who has it: a 0 that turns into `other` would tell of the first one.
    over = k == 1 or all(closed(dimension.period, as_of) for dimension in dimensions)
    values: set[Value] = set().union(*there)
    shown = {
        value
        for value in values
        if over and all(value in rows or value not in some for some, rows in zip(there, told, strict=True))
    }
    hidden = values - shown
    small_first = sorted(shown, key=lambda value: (_people(change, value), *order(value)))
    other = _row(change, Part(None, True, parted_by(change)), hidden, k, as_of)
    while hidden and small_first and any(cell.status is not Status.OK for cell in other.cells.values()):
        hidden.add(small_first.pop(0))
        other = _row(change, other.part, hidden, k, as_of)
    rows = [
        _row(change, Part(value, False, parted_by(change)), {value}, k, as_of)
        for value in sorted(small_first, key=order)
    ]
    return [*rows, other] if hidden or not rows else rows


def released_change(change: Change, rows: Sequence[Judged], as_of: datetime) -> list[ReleasedRow]:
    over = all(closed(some[0].period, as_of) for some in (change.before, change.after))
    return [ReleasedRow(row.part.keys(NAME), row.cells, over) for row in rows]


def _there(dimension: Dimension) -> set[Value]:
    return {value for value, tally in parted(dimension).items() if tally.subjects}


def _told(dimension: Dimension, k: int, as_of: datetime) -> set[Value]:
    """The values with a row of their own in which everything is told."""
    return {
        row.part.value
        for row in judged(dimension, k, as_of)
        if not row.part.other and all(cell.status is Status.OK for cell in row.cells.values())
    }


def _people(change: Change, value: Value) -> int:
    """In the period with fewer of them, if any."""
    sizes = [len(parted(side[0])[value].subjects) for side in (change.before, change.after) if value in parted(side[0])]
    return min((size for size in sizes if size), default=0)


def _row(change: Change, part: Part, values: set[Value], k: int, as_of: datetime) -> Judged:
    """Some values together: each figure under its name with `_before` and `_after`."""
    figures, cells = {}, {}
    for side, (dimension, *_) in (("before", change.before), ("after", change.after)):
        for name, figure in _together(parted(dimension), values, parted_by(change)).figures().items():
            figures[f"{name}_{side}"] = figure
            cells[f"{name}_{side}"] = cell_of(figure, dimension.period, k, as_of)
    return Judged(part, figures, cells)


def _together(parts: Mapping[Value, Tally], values: set[Value], nobody: Tally) -> Tally:
    some = [parts[value] for value in values if value in parts]
    return added(some) if some else nobody
