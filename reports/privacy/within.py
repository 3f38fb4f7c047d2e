"""Weeks and months beside their days: whoever asks for both can take the days that are told from the longer interval.

So a figure of a longer interval is told only where what its days leave, those on which it is hidden, rests on k subjects or on
nobody. Days are told as they are. Of a month the days are looked at by week, since told weeks may be taken from it, and months
from weeks: those of a week that lies in two months rest on k or nobody by themselves, and so do those of all weeks in it that
are hidden. Values of a dimension are looked at together, too (reports.privacy.grid). Only figures that add up are looked at.
"""

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import date, datetime, timedelta
from typing import Any, NamedTuple

from reports.privacy.cells import Cell, Status, closed, joined, tellable, united
from reports.privacy.dimensions import SUPPRESSED, Judged, hide_more, together
from reports.privacy.figures import Dimension, Figure, Period, Row, Value, opened, parted
from reports.privacy.grid import cutting

DATES = {"date", "week", "month"}
ONE = (None, "one")
"""In place of a value, where a line is one row."""

Parts = Mapping[tuple[Any, str], Figure]
"""By value and name."""


class Day(NamedTuple):
    period: Period
    date: date
    hidden: Parts


class Days:
    """What is hidden on days, by what the lines are about beside their date."""

    def __init__(
        self,
        lines: Sequence[tuple[Row, Mapping[str, Cell]]],
        tables: Sequence[tuple[Dimension, Sequence[Judged]]],
        k: int,
        as_of: datetime,
    ) -> None:
        """Of days, each with what is told of it."""
        self._k = k
        self._as_of = as_of
        self._days: dict[tuple[Any, ...], list[Day]] = {}
        for line, cells in lines:
            self._add(line, _suppressed(ONE, cells, line.counts))
        for table, rows in tables:
            self._add(table, self._hidden(table, rows))

    def _add(self, line: Row | Dimension, hidden: Iterator[tuple[tuple[Any, str], Figure]]) -> None:
        day = Day(line.period, date.fromisoformat(line.keys["date"] or ""), dict(hidden))
        self._days.setdefault(_about(line), []).append(day)

    def cells(self, line: Row | Dimension, cells: Mapping[str, Cell], figures: Mapping[str, Figure]) -> dict[str, Cell]:
        """Of a line that is one row."""
        return {name: self._beside(line, ONE, name, cell, figures[name]) for name, cell in cells.items()}

    def rows(self, line: Dimension, rows: Sequence[Judged]) -> list[Judged]:
        """Where one is hidden, others of its column are until those hidden rest on k."""
        if not self._days or not rows:
            return list(rows)
        told = [
            {
                name: cell if row.part.other else self._beside(line, row.part.value, name, cell, row.figures[name])
                for name, cell in row.cells.items()
            }
            for row in rows
        ]
        for name, figure in rows[0].figures.items():
            cut = self._cutting(line, rows, [cells[name] for cells in told], name) if figure.additive else set()
            column = [
                SUPPRESSED if row.part.value in cut and not row.part.other else cells[name]
                for row, cells in zip(rows, told, strict=True)
            ]
            figures = [row.figures[name] for row in rows]
            for cells, cell in zip(told, hide_more(figures, column, line.period, self._k, self._as_of), strict=True):
                cells[name] = cell
        return [replace(row, cells=cells) for row, cells in zip(rows, told, strict=True)]

    def _beside(self, line: Row | Dimension, value: object, name: str, cell: Cell, figure: Figure) -> Cell:
        held = [day for day in self._inside(line) if (value, name) in day.hidden]
        if not held or cell.status is not Status.OK or not figure.additive:
            return cell

        def enough(days: Sequence[Day]) -> bool:
            blocks = [united(sets) for sets in zip(*(opened(day.hidden[value, name])[1] for day in days), strict=True)]
            over = all(closed(day.period, self._as_of) for day in days)
            return tellable(blocks, self._k, all_closed=over, apart=figure.apart)

        if "month" not in line.keys:
            return cell if enough(held) else SUPPRESSED
        across, within = _by_week(held, date.fromisoformat(line.keys["month"] or ""))
        left = [day for days in within if not enough(days) for day in days]
        return cell if all(enough(days) for days in (*across, left) if days) else SUPPRESSED

    def _cutting(self, line: Dimension, rows: Sequence[Judged], column: Sequence[Cell], name: str) -> set[Value]:
        """The values that the days and the other values of a column would tell too much of, in any block."""
        told = [
            row.part.value
            for row, cell in zip(rows, column, strict=True)
            if not row.part.other and cell.status is Status.OK
        ]
        blocks = len(opened(rows[0].figures[name])[1])
        inside = self._inside(line)
        if "month" not in line.keys:
            return self._cut(inside, told, name, blocks)
        # Told weeks may be taken from it: those that hide nothing by themselves leave nothing.
        across, within = _by_week(inside, date.fromisoformat(line.keys["month"] or ""))
        left = [day for days in within if self._cut(days, told, name, blocks) for day in days]
        return set[Value]().union(*(self._cut(days, told, name, blocks) for days in (*across, left)))

    def _cut(self, some: Sequence[Day], told: Sequence[Value], name: str, blocks: int) -> set[Value]:
        days = [
            {value: opened(figure)[1] for (value, of), figure in day.hidden.items() if of == name and value != ONE}
            for day in some
        ]
        found: set[Value] = set()
        for n in range(blocks if days else 0):
            cells = [{value: joined([of[n]]) for value, of in day.items()} for day in days]
            found |= cutting(cells, told, self._k)
        return found

    def _inside(self, line: Row | Dimension) -> list[Day]:
        return [day for day in self._days.get(_about(line), ()) if inside(day.period, line.period)]

    def _hidden(self, line: Dimension, rows: Sequence[Judged]) -> Iterator[tuple[tuple[Any, str], Figure]]:
        if line.only is not None:
            yield from _suppressed(ONE, *together(line, rows, self._k, self._as_of))
        told = {row.part.value: row.cells for row in rows if not row.part.other}
        for value, tally in parted(line).items():
            yield from _suppressed(value, told.get(value, {}), tally.figures())


def _by_week(days: Sequence[Day], first: date) -> tuple[list[list[Day]], list[list[Day]]]:
    """The days of a month by week: of weeks that other months share, and of its own."""
    month = (first + timedelta(days=31)).replace(day=1) - timedelta(days=1)
    weeks: dict[date, list[Day]] = defaultdict(list)
    for day in days:
        weeks[day.date - timedelta(days=day.date.weekday())].append(day)
    across: list[list[Day]] = []
    within: list[list[Day]] = []
    for monday, some in weeks.items():
        (within if first <= monday and monday + timedelta(days=6) <= month else across).append(some)
    return across, within


def _suppressed(
    value: object, cells: Mapping[str, Cell], figures: Mapping[str, Figure]
) -> Iterator[tuple[tuple[Any, str], Figure]]:
    """Without a cell it is hidden, too: the value has no row."""
    for name, figure in figures.items():
        if cells.get(name, SUPPRESSED).status is Status.SUPPRESSED:
            yield (value, name), figure


def _about(line: Row | Dimension) -> tuple[Any, ...]:
    return tuple((name, value) for name, value in line.keys.items() if name not in DATES)


def inside(part: Period, longer: Period) -> bool:
    return longer.begins <= part.begins and part.ends <= longer.ends
