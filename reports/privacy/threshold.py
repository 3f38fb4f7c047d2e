"""The threshold gate: no released cell rests on fewer than k subjects.

What is told of a count, at as-of, by its period:
- not begun yet: `not_observable`.
- closed (its last local day ended 48 h ago or more, so late events have come): the value, where it rests on k subjects
  or on none. 0 is a value: an empty day rests on nobody. 1 to k - 1 subjects: `suppressed`.
- begun and not closed, today included: a total so far, where it rests on k subjects; otherwise `suppressed`, 0 too,
  because a 0 that turns into a suppression while one watches tells when somebody came.
With k = 1 (sandbox programs, which hold synthetic data only) nobody is to be hidden, and every period that has begun
is told. A row says whether it is `closed`; what is not may still change.

Not solved here, and so not claimed: two released figures may differ by fewer than k subjects (windows of consecutive
days, ranges of withdrawals, the same open day asked twice). Frozen figures and the attacks on them are an issue of
their own; docs/threat-model.md will say what remains.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

from reports.privacy.figures import Count, Figures, Period, Row, opened

CLOSES_AFTER = timedelta(hours=48)
MODE = "threshold"


class Status(StrEnum):
    OK = "ok"
    SUPPRESSED = "suppressed"
    NOT_OBSERVABLE = "not_observable"


@dataclass(frozen=True, slots=True)
class Cell:
    """What is told of a count; the value is None unless the status is ok."""

    value: int | None
    status: Status


@dataclass(frozen=True, slots=True)
class ReleasedRow:
    keys: Mapping[str, str]
    cells: Mapping[str, Cell]
    closed: bool


@dataclass(frozen=True, slots=True)
class Released:
    """Figures past the gate: fit to leave the service."""

    k: int
    tables: Mapping[str, Sequence[ReleasedRow]]
    totals: Mapping[str, Cell]

    @property
    def suppressed_cells(self) -> int:
        return sum(cell.status is Status.SUPPRESSED for cell in self._cells())

    def _cells(self) -> Iterator[Cell]:
        for rows in self.tables.values():
            for row in rows:
                yield from row.cells.values()
        yield from self.totals.values()


def release(figures: Figures, *, k: int, as_of: datetime) -> Released:
    """Everything that may be told of `figures` at `as_of`."""
    if k < 1:
        raise ValueError("k is 1 or more")
    return Released(
        k=k,
        tables={name: [_row(row, k, as_of) for row in rows] for name, rows in figures.tables.items()},
        totals={name: _cell(count, period, k, as_of) for name, (period, count) in figures.totals.items()},
    )


def _row(row: Row, k: int, as_of: datetime) -> ReleasedRow:
    cells = {name: _cell(count, row.period, k, as_of) for name, count in row.counts.items()}
    return ReleasedRow(row.keys, cells, _closed(row.period, as_of))


def _cell(count: Count, period: Period, k: int, as_of: datetime) -> Cell:
    if period.begins > as_of:
        return Cell(None, Status.NOT_OBSERVABLE)
    number, subjects = opened(count)
    nobody_told = subjects == 0 and (k == 1 or _closed(period, as_of))
    if subjects >= k or nobody_told:
        return Cell(number, Status.OK)
    return Cell(None, Status.SUPPRESSED)


def _closed(period: Period, as_of: datetime) -> bool:
    return period.ends + CLOSES_AFTER <= as_of
