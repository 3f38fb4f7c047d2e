"""The gate of a cohort table (retention).

A cell is told where its part and the rest of the cohort have k subjects each. A cell whose period is not over is
`not_observable`. In a chained row each told cell also differs from the told one before it by k subjects: who is in the
one and not in the other is a block too. A cell that says nothing new (everybody, by definition) comes as the size does.

Whom a cohort of first times leaves over, of all who were there in its interval, other reports tell less its size.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from reports.privacy.cells import Cell, Status, cell_of, closed
from reports.privacy.figures import Cohort, Figure, Period


class FirstTimes(Figure):
    """How many were there for the first time; `others`: how many in the same interval were not."""

    __slots__ = ()
    apart = True

    def __init__(self, number: int, *, others: int) -> None:
        super().__init__(number, number, others)


class Part(Figure):
    """How many of a cohort."""

    __slots__ = ()

    def __init__(self, number: int, of: int) -> None:
        super().__init__(number, number, of - number)


@dataclass(frozen=True, slots=True)
class ReleasedCohort:
    keys: Mapping[str, str]
    size: Cell
    values: Sequence[Cell]
    closed: bool


def released_cohort(cohort: Cohort, k: int, as_of: datetime) -> ReleasedCohort:
    size = cell_of(cohort.size, cohort.period, k, as_of)
    values, before = [], None
    for period, figure in cohort.cells:
        cell = _over(figure, period, k, as_of)
        if cohort.chained and before is not None and _betrays(before, cell, k):
            cell = Cell(None, Status.SUPPRESSED)
        if cell.value is not None:
            before = cell.value
        values.append(cell)
    return ReleasedCohort(cohort.keys, size, values, closed(cohort.period, as_of))


def _over(figure: Figure, period: Period, k: int, as_of: datetime) -> Cell:
    if period.ends > as_of:
        return Cell(None, Status.NOT_OBSERVABLE)
    return cell_of(figure, period, k, as_of)


def _betrays(before: float, cell: Cell, k: int) -> bool:
    return k > 1 and cell.value is not None and before > 0 and before - cell.value < k
