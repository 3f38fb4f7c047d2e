"""The threshold gate: no released cell rests on fewer than k subjects.

What is told of a figure, at as-of, by its period:
- not begun yet: `not_observable`; and so is who stayed away, until it is over.
- closed (its last local day ended 48 h ago or more, so late events have come): the value, where each of its blocks has
  k subjects or where nobody is in any. 0 is a value: an empty day rests on nobody. 1 to k - 1 subjects: `suppressed`,
  and so is a share whose part or rest has fewer than k: 0 % and 100 % disclose.
- begun and not closed, today included: a total so far, where it rests on k subjects; otherwise `suppressed`, 0 too,
  because a 0 that turns into a suppression while one watches tells when somebody came.
- where nobody is, a mean or a share is not defined: `not_observable`.
A total over the rows of a table is told only where what the told rows leave over rests on k subjects, or on nobody:
otherwise it less the rows would tell the cell that was suppressed; the same holds for the parts of a row that add up to
what is told elsewhere. Tables of whole ranges are told of some ranges only: reports.privacy.ranges; what is told of one type
of events: reports.privacy.types. Cohorts: reports.privacy.cohorts. Tables by the
values of a dimension: reports.privacy.dimensions; over two periods: reports.privacy.changes. Funnels: reports.privacy.steps; paths: reports.privacy.flows. Medians and other quantiles: reports.privacy.bins.
With k = 1 (sandbox programs, which hold synthetic data only) nobody is to be hidden, and every period that has begun
is told. A row says whether it is `closed`; what is not may still change.

What was told of a closed period stands: reports.frozen. What two answers can tell together all the same is in
docs/threat-model.md.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime

from reports.privacy.cells import Cell, Status, cell_of, closed, tellable, united
from reports.privacy.changes import judged_change, released_change
from reports.privacy.cohorts import released_cohort
from reports.privacy.dimensions import (
    SUPPRESSED,
    Judged,
    ReleasedRow,
    column,
    judged,
    leaves_enough,
    released_dimension,
    together,
)
from reports.privacy.figures import (
    Change,
    Cohort,
    Dimension,
    Figure,
    Figures,
    Flows,
    OfType,
    Period,
    Row,
    Steps,
    opened,
)
from reports.privacy.flows import released_flows
from reports.privacy.ranges import OF_ANY_REPORT, withheld
from reports.privacy.released import Line, Released, cohort_lines
from reports.privacy.steps import released_steps
from reports.privacy.types import Types, room_left
from reports.privacy.within import Days

__all__ = ["MODE", "Released", "release"]

MODE = "threshold"


def release(figures: Figures, *, k: int, as_of: datetime, by_day: Sequence[Figures] = ()) -> Released:
    """Everything that may be told of `figures` at `as_of`. `by_day`: of longer intervals, the same by day."""
    if k < 1:
        raise ValueError("k is 1 or more")
    types = Types(figures.types, k, as_of)
    days = _days(figures, by_day, types, k, as_of)
    names: list[str] = []
    lines: list[Line] = []
    summed: list[Judged] = []
    held = withheld(figures.whole, k, as_of)
    for name, some in figures.tables.items():
        names += [name] if not any(isinstance(line, Cohort) for line in some) else []
        for line in some:
            if held and isinstance(line, Dimension | Change | Steps | Flows):
                lines.append(_withheld(name, line, k, as_of))
            elif isinstance(line, Cohort):
                cohort = released_cohort(line, k, as_of)
                lines += cohort_lines(name, cohort, [line.period, *(period for period, _ in line.cells)])
            elif isinstance(line, Dimension):
                rows = room_left(line, days.rows(line, judged(line, k, as_of)), figures.of_type, types, k, as_of)
                summed += rows if name == figures.summed else ()
                lines.append(_of_values(name, line, rows, days, k, as_of))
            elif isinstance(line, Change):
                rows = _of_types(line, judged_change(line, k, as_of), figures.of_type, types)
                summed += rows if name == figures.summed else ()
                periods = [line.before[0].period, line.after[0].period]
                lines.append(Line(name, {}, periods, [(name, row) for row in released_change(line, rows, as_of)]))
            else:
                lines.append(_line(name, line, figures, types, k, as_of, days))
    of_totals = _totals(figures, lines, summed, types, k, as_of)
    if held:
        of_totals = [line if line.cell in OF_ANY_REPORT else _nothing(line, as_of) for line in of_totals]
    return Released(k, names, lines, of_totals, figures.summed)


def _withheld(table: str, line: Dimension | Change | Steps | Flows, k: int, as_of: datetime) -> Line:
    """As where a period goes on, so that all values are one, and nothing of it."""
    first = line.before[0] if isinstance(line, Change) else line.dimension if isinstance(line, Steps) else line
    (told,) = release(Figures({table: [line]}), k=k, as_of=first.period.begins).lines
    return _nothing(told, as_of)


def _nothing(line: Line, as_of: datetime) -> Line:
    over = all(closed(period, as_of) for period in line.periods)
    rows = [(table, replace(row, cells=dict.fromkeys(row.cells, SUPPRESSED), closed=over)) for table, row in line.rows]
    return replace(line, rows=rows, withheld=True)


def _of_values(table: str, line: Dimension, rows: Sequence[Judged], days: Days, k: int, as_of: datetime) -> Line:
    told = [*released_dimension(table, line, rows, k, as_of)]
    if line.only is not None:
        cells = days.cells(line, *together(line, rows, k, as_of))
        told = [(table, replace(told[0][1], cells=cells))]
    return Line(table, line.keys, [line.period], told)


def _days(figures: Figures, by_day: Sequence[Figures], types: Types, k: int, as_of: datetime) -> Days:
    lines: list[tuple[Row, Mapping[str, Cell]]] = []
    tables: list[tuple[Dimension, Sequence[Judged]]] = []
    for some in by_day:
        for line in some.tables["data"]:
            if isinstance(line, Row):
                lines.append((line, _cells(line, figures.of_type, types, k, as_of)))
            elif isinstance(line, Dimension):
                rows = room_left(line, judged(line, k, as_of), figures.of_type, types, k, as_of)
                tables.append((line, rows))
    return Days(lines, tables, k, as_of)


def _line(
    table: str, line: Row | Steps | Flows, figures: Figures, types: Types, k: int, as_of: datetime, days: Days
) -> Line:
    if isinstance(line, Flows):
        return Line(table, {}, [line.period], [*released_flows(line, k, as_of)])
    if isinstance(line, Steps):
        rows = [(table, row) for row in released_steps(line, k, as_of)]
        return Line(table, line.dimension.keys, [line.dimension.period], rows)
    cells = days.cells(line, _cells(line, figures.of_type, types, k, as_of), line.counts)
    row = ReleasedRow(line.keys, _hidden_with(line, cells), closed(line.period, as_of))
    return Line(table, line.keys, [line.period], [(table, row)])


def _cells(row: Row, of_type: Mapping[str, OfType], types: Types, k: int, as_of: datetime) -> dict[str, Cell]:
    """By itself."""
    cells = {name: cell_of(figure, row.period, k, as_of) for name, figure in row.counts.items()}
    if row.parts:
        told = column([row.counts[name] for name in row.parts], row.period, k, as_of)
        cells |= dict(zip(row.parts, told, strict=True))
    for name, of in of_type.items():
        if name not in cells or cells[name].status is not Status.OK:
            continue
        if types.hide(of, row.begun or row.period, month=row.keys.get("month")):
            cells[name] = SUPPRESSED
    return _hidden_with(row, cells)


def _hidden_with(row: Row, cells: Mapping[str, Cell]) -> dict[str, Cell]:
    told = dict(cells)
    for name, other in row.hidden_with.items():
        if cells[other].status is Status.SUPPRESSED and cells[name].status is Status.OK:
            told[name] = SUPPRESSED
    return told


def _of_types(change: Change, rows: Sequence[Judged], of_type: Mapping[str, OfType], types: Types) -> list[Judged]:
    """Nothing is told where a period's table would tell of other types: it has both periods' sums."""
    periods = [change.before[0].period, change.after[0].period]
    if any(types.hide(of, period) for of in of_type.values() for period in periods):
        return [replace(row, cells=dict.fromkeys(row.cells, SUPPRESSED)) for row in rows]
    return list(rows)


def _totals(
    figures: Figures, released: Sequence[Line], judged_rows: Sequence[Judged], types: Types, k: int, as_of: datetime
) -> list[Line]:
    """`released`: the lines of the tables, in their order."""
    lines = figures.tables[figures.summed] if figures.summed else ()
    rows = [line.rows[0][1].cells for line in released if line.table == figures.summed and line.rows]
    told = []
    for name, (period, figure) in figures.totals.items():
        parts = [(row.period, row.counts[name]) for row in lines if isinstance(row, Row) and name in row.counts]
        cell = _total(figure, period, parts, k, as_of)
        # A longer interval that is hidden because of its days: the total less the others would be it.
        if (
            rows
            and len(rows) == len(parts)
            and any(
                cells[name].status is Status.SUPPRESSED and cell_of(part, of, k, as_of).status is Status.OK
                for cells, (of, part) in zip(rows, parts, strict=True)
            )
        ):
            cell = SUPPRESSED
        if figure.distinct and not leaves_enough(figure, name, judged_rows, k):
            cell = SUPPRESSED
        of = figures.of_type.get(name)
        if cell.status is Status.OK and of is not None and types.hide(of, of.begun or period):
            cell = SUPPRESSED
        row = ReleasedRow({}, {name: cell}, closed(period, as_of))
        told.append(Line("", {}, [period], [("", row)], name))
    return told


def _total(figure: Figure, period: Period, parts: list[tuple[Period, Figure]], k: int, as_of: datetime) -> Cell:
    """A total, unless it less the parts that are told would give away one that is not."""
    cell = cell_of(figure, period, k, as_of)
    held = [part for part in parts if cell_of(part[1], part[0], k, as_of).status is Status.SUPPRESSED]
    if cell.status is not Status.OK or not held:
        return cell
    blocks = [united(sets) for sets in zip(*(opened(part)[1] for _, part in held), strict=True)]
    told = tellable(blocks, k, all_closed=all(closed(of, as_of) for of, _ in held), apart=figure.apart)
    return cell if told else SUPPRESSED
