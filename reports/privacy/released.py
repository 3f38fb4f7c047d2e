"""What has passed the gate, in lines: what is told together of one period, and stands or is revised together."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from typing import Any

from reports.privacy.cells import Cell, Status
from reports.privacy.cohorts import ReleasedCohort
from reports.privacy.dimensions import ReleasedRow
from reports.privacy.figures import Period

SIZE = "size"


@dataclass(frozen=True, slots=True)
class Line:
    """Rows of a table about `keys`, in the order told; those of a dimension's details are of further tables.

    `periods`: all that must be closed before it is told for good. `cell`: of a cohort table the cell, `size` or the number of
    its period, and of a total its name; each is a line of its own, because each has its own period. `withheld`: its range may not
    be told now, and may be later.
    """

    table: str
    keys: Mapping[str, Any]
    periods: Sequence[Period]
    rows: Sequence[tuple[str, ReleasedRow]]
    cell: str | None = None
    withheld: bool = False


@dataclass(frozen=True)
class Released:
    """Figures past the gate: fit to leave the service. `names`: the tables, also those without a row."""

    k: int
    names: Sequence[str]
    lines: Sequence[Line]
    of_totals: Sequence[Line] = ()
    summed: str | None = None

    @classmethod
    def derived(
        cls, k: int, tables: Mapping[str, Sequence[ReleasedRow]], totals: Mapping[str, Cell], *, withheld: bool = False
    ) -> "Released":
        """What was worked out of told figures: of no period, so that nothing of it is kept. `withheld`: they were of a range that may
        not be told now."""
        lines = [
            Line(name, row.keys, (), [(name, row)], withheld=withheld) for name, rows in tables.items() for row in rows
        ]
        of_totals = [
            Line("", {}, (), [("", ReleasedRow({}, {name: cell}, True))], name) for name, cell in totals.items()
        ]
        return cls(k, list(tables), lines, of_totals)

    @cached_property
    def tables(self) -> Mapping[str, Sequence[ReleasedRow]]:
        tables: dict[str, list[ReleasedRow]] = {name: [] for name in self.names}
        for line in self.lines:
            for table, row in line.rows if line.cell is None else ():
                tables.setdefault(table, []).append(row)
        return tables

    @cached_property
    def cohorts(self) -> Mapping[str, Sequence[ReleasedCohort]]:
        """The cells of a cohort follow its size."""
        cohorts: dict[str, list[ReleasedCohort]] = {}
        sizes = [n for n, line in enumerate(self.lines) if line.cell == SIZE]
        for begins, ends in pairwise([*sizes, len(self.lines)]):
            line, (_, row) = self.lines[begins], self.lines[begins].rows[0]
            values = [one.rows[0][1].cells["value"] for one in self.lines[begins + 1 : ends]]
            told = ReleasedCohort(line.keys, row.cells[SIZE], values, row.closed)
            cohorts.setdefault(line.table, []).append(told)
        return cohorts

    @cached_property
    def totals(self) -> Mapping[str, Cell]:
        return {name: cell for line in self.of_totals for _, row in line.rows for name, cell in row.cells.items()}

    @property
    def range_withheld(self) -> bool:
        """Whether a table of the whole range may not be told now (reports.privacy.ranges)."""
        return any(line.withheld for line in self.lines)

    @property
    def suppressed_cells(self) -> int:
        return sum(cell.status is Status.SUPPRESSED for cell in self._cells())

    def _cells(self) -> Iterator[Cell]:
        for line in (*self.lines, *self.of_totals):
            for _, row in line.rows:
                yield from row.cells.values()


def cohort_lines(table: str, cohort: ReleasedCohort, periods: Sequence[Period]) -> Iterator[Line]:
    """`periods`: the cohort's own, and that of each of its cells."""
    for n, (of, cell) in enumerate(zip(periods, (cohort.size, *cohort.values), strict=True)):
        name = "value" if n else SIZE
        row = ReleasedRow(cohort.keys, {name: cell}, cohort.closed)
        yield Line(table, cohort.keys, (periods[0], of), ((table, row),), str(n - 1) if n else SIZE)
