"""The threshold gate: no released cell rests on fewer than k subjects.

What is told of a figure, at as-of, by its period:
- not begun yet: `not_observable`.
- closed (its last local day ended 48 h ago or more, so late events have come): the value, where each of its blocks has
  k subjects or where nobody is in any. 0 is a value: an empty day rests on nobody. 1 to k - 1 subjects: `suppressed`,
  and so is a share whose part or rest has fewer than k: 0 % and 100 % disclose.
- begun and not closed, today included: a total so far, where it rests on k subjects; otherwise `suppressed`, 0 too,
  because a 0 that turns into a suppression while one watches tells when somebody came.
- where nobody is, a mean or a share is not defined: `not_observable`.
A total over the rows of a table is told only where what the told rows leave over rests on k subjects, or on nobody:
otherwise it less the rows would tell the cell that was suppressed; the same holds for the parts of a row that add up to
what is told elsewhere. Cohorts: reports.privacy.cohorts. Tables by the
values of a dimension: reports.privacy.dimensions. Funnels: reports.privacy.steps; paths: reports.privacy.flows. Medians and other quantiles: reports.privacy.bins.
With k = 1 (sandbox programs, which hold synthetic data only) nobody is to be hidden, and every period that has begun
is told. A row says whether it is `closed`; what is not may still change.

Not solved here, and so not claimed: two released figures may differ by fewer than k subjects (windows of consecutive
days, ranges of withdrawals, the same open day asked twice). Frozen figures and the attacks on them are an issue of
their own; docs/threat-model.md will say what remains.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from reports.privacy.cells import Cell, Status, cell_of, closed, joined, tellable
from reports.privacy.cohorts import ReleasedCohort, released_cohort
from reports.privacy.dimensions import (
    SUPPRESSED,
    Judged,
    ReleasedRow,
    column,
    judged,
    leaves_enough,
    released_dimension,
)
from reports.privacy.figures import (
    AtLeast,
    Cohort,
    Dimension,
    Figure,
    Figures,
    Flows,
    Period,
    Row,
    Steps,
    Subjects,
    opened,
)
from reports.privacy.flows import released_flows
from reports.privacy.steps import released_steps

MODE = "threshold"


@dataclass(frozen=True, slots=True)
class Released:
    """Figures past the gate: fit to leave the service."""

    k: int
    tables: Mapping[str, Sequence[ReleasedRow]]
    totals: Mapping[str, Cell]
    cohorts: Mapping[str, Sequence[ReleasedCohort]]

    @property
    def suppressed_cells(self) -> int:
        return sum(cell.status is Status.SUPPRESSED for cell in self._cells())

    def _cells(self) -> Iterator[Cell]:
        for rows in self.tables.values():
            for row in rows:
                yield from row.cells.values()
        for cohorts in self.cohorts.values():
            for cohort in cohorts:
                yield from (cohort.size, *cohort.values)
        yield from self.totals.values()


def release(figures: Figures, *, k: int, as_of: datetime) -> Released:
    """Everything that may be told of `figures` at `as_of`."""
    if k < 1:
        raise ValueError("k is 1 or more")
    tables: dict[str, list[ReleasedRow]] = {}
    cohorts: dict[str, list[ReleasedCohort]] = {}
    summed: list[Judged] = []
    for name, lines in figures.tables.items():
        if not any(isinstance(line, Cohort) for line in lines):
            tables.setdefault(name, [])
        for line in lines:
            if isinstance(line, Cohort):
                cohorts.setdefault(name, []).append(released_cohort(line, k, as_of))
            elif isinstance(line, Dimension):
                rows = judged(line, k, as_of)
                summed += rows if name == figures.summed else ()
                for table, row in released_dimension(name, line, rows, k, as_of):
                    tables.setdefault(table, []).append(row)
            else:
                for table, row in _lines(name, line, k, as_of):
                    tables.setdefault(table, []).append(row)
    return Released(k=k, tables=tables, totals=_totals(figures, summed, k, as_of), cohorts=cohorts)


def _lines(table: str, line: Row | Steps | Flows, k: int, as_of: datetime) -> Iterator[tuple[str, ReleasedRow]]:
    """(table, row)"""
    if isinstance(line, Flows):
        yield from released_flows(line, k, as_of)
    elif isinstance(line, Steps):
        yield from ((table, row) for row in released_steps(line, k, as_of))
    else:
        yield table, _row(line, k, as_of)


def _row(row: Row, k: int, as_of: datetime) -> ReleasedRow:
    cells = {name: cell_of(figure, row.period, k, as_of) for name, figure in row.counts.items()}
    if row.parts:
        told = column([row.counts[name] for name in row.parts], row.period, k, as_of)
        cells |= dict(zip(row.parts, told, strict=True))
    for name, other in row.hidden_with.items():
        if cells[other].status is Status.SUPPRESSED and cells[name].status is Status.OK:
            cells[name] = SUPPRESSED
    return ReleasedRow(row.keys, cells, closed(row.period, as_of))


def _totals(figures: Figures, judged_rows: Sequence[Judged], k: int, as_of: datetime) -> dict[str, Cell]:
    lines = figures.tables[figures.summed] if figures.summed else ()
    told = {}
    for name, (period, figure) in figures.totals.items():
        parts = [(row.period, row.counts[name]) for row in lines if isinstance(row, Row) and name in row.counts]
        told[name] = _total(figure, period, parts, k, as_of)
        if figure.distinct and not leaves_enough(figure, name, judged_rows, k):
            told[name] = Cell(None, Status.SUPPRESSED)
    return told


def _total(figure: Figure, period: Period, parts: list[tuple[Period, Figure]], k: int, as_of: datetime) -> Cell:
    """A total, unless it less the parts that are told would give away one that is not."""
    cell = cell_of(figure, period, k, as_of)
    held = [part for part in parts if cell_of(part[1], part[0], k, as_of).status is Status.SUPPRESSED]
    if cell.status is not Status.OK or not held:
        return cell
    blocks = [_united(sets) for sets in zip(*(opened(part)[1] for _, part in held), strict=True)]
    told = tellable(blocks, k, all_closed=all(closed(of, as_of) for of, _ in held), apart=figure.apart)
    return cell if told else Cell(None, Status.SUPPRESSED)


def _united(sets: Sequence[Subjects]) -> Subjects:
    """All of them, or of lower bounds the largest: nothing more is sure."""
    bounds = [one for one in sets if isinstance(one, AtLeast)]
    return max(bounds) if len(bounds) == len(sets) else joined(sets)
