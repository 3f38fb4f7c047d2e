"""The gate of a table whose rows are values of a dimension: pages, scenes, values of a breakdown.

1. Rows. A value with fewer than k subjects has no row of its own: all of these merge into one row `other`, tallies added
   before any figure is made of them. Where `other` has fewer than k itself, it takes in the smallest rows until it has k
   (the sets united, so somebody in two of them counts once). A table with fewer than k subjects is one row, `other`,
   and suppressed. A period that is not closed is told as a total only: all of it is `other`.
2. Columns. A row's cell may rest on fewer than k of the row's subjects (few of those who viewed a page left there). It
   is suppressed; and where all suppressed cells of an additive column together rest on fewer than k, further cells are,
   the smallest first, until they rest on k.
3. Details (a page's elements) are such tables themselves, of one row each, told where the cells they add up to are.
4. `only` (a filter) is answered from the rows that the whole breakdown would tell, added up. Where one of its values has
   no row, nothing is: otherwise the two answers would differ by the small value. A value that nobody has is such a value
   too: a 0 would say that nobody has it, and a suppression that a few do.

Guaranteed at one as-of, whoever knows an additive column's total (it is told here, or by a second question):
- every told cell rests on k subjects in each of its blocks, or on nobody;
- an additive column's total less any of its told cells rests on k subjects, or on nobody;
- a total of distinct subjects told beside the rows is told only where each told row leaves out k of them, or nobody.
Not guaranteed: that nothing can be bounded (a cell of an overlapping row says how many at least are elsewhere), and
what differs between answers of different as-of or of different dimensions, or between the distinct subjects of rows and
of a question without a dimension.
"""

import math
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from pyroaring import BitMap64

from reports.privacy.cells import Cell, Status, cell_of, closed, joined, tellable
from reports.privacy.figures import Dimension, Figure, Period, Tally, Value, opened, parted

SUPPRESSED = Cell(None, Status.SUPPRESSED)


@dataclass(frozen=True, slots=True)
class ReleasedRow:
    """`keys` say what it is about; of a dimension: the value under its name, and whether it is `<name>_other`."""

    keys: Mapping[str, Any]
    cells: Mapping[str, Cell]
    closed: bool


@dataclass(frozen=True, slots=True)
class Part:
    """Some values' tally, to be a row."""

    value: Value
    other: bool
    tally: Tally

    def keys(self, name: str) -> dict[str, Any]:
        return {name: self.value, f"{name}_other": self.other}


@dataclass(frozen=True, slots=True)
class Judged:
    """A row with what may be told of each of its figures."""

    part: Part
    figures: Mapping[str, Figure]
    cells: Mapping[str, Cell]


def merged_parts(parts: Mapping[Value, Tally], k: int, *, all_closed: bool) -> list[Part]:
    """In the order of values, None first and `other` last. Each has k subjects, but an `other` that is alone."""
    subjects = {value: tally.subjects for value, tally in parts.items()}
    there = [value for value in parts if subjects[value]]
    large = sorted(there, key=lambda value: (len(subjects[value]), *order(value)))
    hidden = len(large)
    if all_closed or k == 1:
        hidden = sum(len(subjects[value]) < k for value in large)
    small, large = large[:hidden], large[hidden:]
    others = BitMap64().union(*(subjects[value] for value in small))
    while small and large and len(others) < k:
        small.append(large.pop(0))
        others |= subjects[small[-1]]
    told = [Part(value, False, parts[value]) for value in sorted(large, key=order)]
    return [*told, Part(None, True, added([parts[value] for value in small]))] if small else told


def added(tallies: Sequence[Tally]) -> Tally:
    """By halves, since a tally grows as it is added to."""
    if len(tallies) == 1:
        return tallies[0]
    middle = len(tallies) // 2
    return added(tallies[:middle]) + added(tallies[middle:])


def order(value: Value) -> tuple[bool, float, str]:
    """None, what begins with a number from the smallest, other texts."""
    number = re.match(r"[0-9]+", value or "")
    return value is not None, int(number[0]) if number else math.inf, value or ""


def judged(dimension: Dimension, k: int, as_of: datetime) -> list[Judged]:
    return _judged(parted(dimension), dimension.period, k, as_of)


def released_dimension(
    table: str, dimension: Dimension, rows: Sequence[Judged], k: int, as_of: datetime
) -> Iterator[tuple[str, ReleasedRow]]:
    """(table, row) of the dimension, judged, and of its details."""
    over = closed(dimension.period, as_of)
    if dimension.only is not None:
        cells, _ = together(dimension, rows, k, as_of)
        yield table, ReleasedRow(dimension.keys, cells, over)
        return
    for row in rows:
        keys = {**dimension.keys, **row.part.keys(dimension.name)}
        yield table, ReleasedRow(keys, row.cells, over)
        for detail in dimension.details:
            # Of a page without a view a mean of views is no number, and rests on enough all the same.
            if not any(row.cells[name].status is Status.SUPPRESSED for name in detail.needs):
                for inner in _judged(detail.split(row.part.tally), dimension.period, k, as_of):
                    yield detail.table, ReleasedRow({**keys, **inner.part.keys(detail.name)}, inner.cells, over)


def leaves_enough(total: Figure, name: str, rows: Sequence[Judged], k: int) -> bool:
    """Whether a total of distinct subjects less each told row has k subjects or none."""
    everybody = joined(opened(total)[1])
    told = [row.figures[name] for row in rows if row.cells[name].status is Status.OK]
    left = [len(everybody - joined(opened(figure)[1])) for figure in told]
    return all(one == 0 or one >= k for one in left)


def _judged(parts: Mapping[Value, Tally], period: Period, k: int, as_of: datetime) -> list[Judged]:
    rows = merged_parts(parts, k, all_closed=closed(period, as_of))
    figures = [part.tally.figures() for part in rows]
    columns = {name: column([row[name] for row in figures], period, k, as_of) for name in (figures or [{}])[0]}
    return [
        Judged(part, figures[n], {name: cells[n] for name, cells in columns.items()}) for n, part in enumerate(rows)
    ]


def column(figures: Sequence[Figure], period: Period, k: int, as_of: datetime) -> list[Cell]:
    """Suppressing further cells while the suppressed ones together rest on fewer than k."""
    return hide_more(figures, [cell_of(figure, period, k, as_of) for figure in figures], period, k, as_of)


def hide_more(figures: Sequence[Figure], told: Sequence[Cell], period: Period, k: int, as_of: datetime) -> list[Cell]:
    """As `column`, of cells that may be hidden already."""
    cells = list(told)
    held = [n for n, cell in enumerate(cells) if cell.status is Status.SUPPRESSED]
    if not held or not figures[0].additive:
        return cells
    people = {n: _people(figures[n]) for n, cell in enumerate(cells) if cell.status is Status.OK}
    rest = sorted((n for n in people if people[n]), key=people.__getitem__, reverse=True)
    while rest and not _enough([figures[n] for n in held], k, all_closed=closed(period, as_of)):
        held.append(rest.pop())
        cells[held[-1]] = SUPPRESSED
    return cells


def _people(figure: Figure) -> int:
    return len(joined(opened(figure)[1]))


def _enough(figures: Sequence[Figure], k: int, *, all_closed: bool) -> bool:
    blocks = [joined(sets) for sets in zip(*(opened(figure)[1] for figure in figures), strict=True)]
    return tellable(blocks, k, all_closed=all_closed, apart=figures[0].apart)


def together(
    dimension: Dimension, rows: Sequence[Judged], k: int, as_of: datetime
) -> tuple[dict[str, Cell], Mapping[str, Figure]]:
    """One row's cells, and its figures, for the values of `only`, each of which is among the parts. With k = 1 nobody adds
    nothing."""
    parts, wanted = parted(dimension), dimension.only or frozenset()
    asked = [parts[value] for value in wanted]
    told = {row.part.value: row.cells for row in rows if not row.part.other}
    if k == 1:
        wanted &= told.keys()
    figures = added(asked).figures()
    cells = {name: cell_of(figure, dimension.period, k, as_of) for name, figure in figures.items()}
    if dimension.period.begins > as_of:
        return cells, figures
    for name, figure in figures.items():
        held = not wanted <= told.keys() or any(told[value][name].status is Status.SUPPRESSED for value in wanted)
        if held or (figure.distinct and not _each_adds_enough([one.subjects for one in asked], k)):
            cells[name] = SUPPRESSED
    return cells, figures


def _each_adds_enough(sets: Sequence[BitMap64], k: int) -> bool:
    """Whether k subjects, or none, are in each and in no other."""
    alone = [whose - BitMap64().union(*sets[:n], *sets[n + 1 :]) for n, whose in enumerate(sets)]
    return len(sets) < 2 or all(not whose or len(whose) >= k for whose in alone)
