"""Events of one type beside all events: whoever has both has the others, who may be few.

`activity` tells all events of a day, `trends` those of one type only where the others rest on k, too. Other reports that tell
as many (views, shares, exposures), or what they can be worked out from, tell no more: where `trends` by event would hide a type
in the period, it is hidden there.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from functools import cached_property

from reports.privacy.cells import Status, closed
from reports.privacy.dimensions import SUPPRESSED, Judged, added, hide_more, judged
from reports.privacy.figures import Count, Dimension, OfType, Period, Tally, Value, parted
from reports.privacy.within import Days, inside

NAME = "event"


class Types:
    """`days`: of each day with events those of each type."""

    def __init__(self, days: Sequence[Dimension], k: int, as_of: datetime) -> None:
        self._lines = days
        self._k = k
        self._as_of = as_of
        self._rows: dict[Period, Sequence[Judged]] = {}

    def hide(self, of: OfType, period: Period) -> bool:
        """A type of which nothing happened, and any in a period that goes on, is as its own figure says."""
        if self._k == 1 or not closed(period, self._as_of) or not self._happened(of.event, period):
            return False
        if period not in self._rows:
            self._rows[period] = self._judged(period)
        told = [row for row in self._rows[period] if row.part.value == of.event and not row.part.other]
        return not told or told[0].cells[of.column].status is Status.SUPPRESSED

    def _judged(self, period: Period) -> Sequence[Judged]:
        days = [line for line in self._lines if inside(line.period, period)]
        if [line.period for line in days] == [period]:
            return judged(days[0], self._k, self._as_of)
        found: dict[Value, list[Tally]] = {}
        for line in days:
            for value, tally in parted(line).items():
                found.setdefault(value, []).append(tally)
        whole = Dimension(period, NAME, {value: added(some) for value, some in found.items()})
        return self._days.rows(whole, judged(whole, self._k, self._as_of))

    def _happened(self, event: str, period: Period) -> bool:
        return any(event in parted(line) for line in self._lines if inside(line.period, period))

    @cached_property
    def _days(self) -> Days:
        return Days([(line, {}) for line in self._lines], self._k, self._as_of)


def room_left(
    line: Dimension, rows: Sequence[Judged], of_type: Mapping[str, OfType], types: Types, k: int, as_of: datetime
) -> list[Judged]:
    """Rows whose column adds up to a type's events: where these are hidden, so is the smallest row, unless one is hidden already.

    What tells their sum in each row, such as a share of it, is not told at all.
    """
    hidden = {name for name, of in of_type.items() if rows and name in rows[0].cells and types.hide(of, line.period)}
    if not hidden:
        return list(rows)
    sums = {name for name in hidden if isinstance(rows[0].figures[name], Count)}
    told = [
        dict(row.cells) | {name: SUPPRESSED for name in hidden - sums if row.cells[name].status is Status.OK}
        for row in rows
    ]
    if any(all(cells[name].status is not Status.SUPPRESSED for cells in told) for name in sums):
        smallest = min(range(len(rows)), key=lambda n: len(rows[n].part.tally.subjects))
        told[smallest] = dict.fromkeys(told[smallest], SUPPRESSED)
    for name in rows[0].cells:
        column = [cells[name] for cells in told]
        more = hide_more([row.figures[name] for row in rows], column, line.period, k, as_of)
        for cells, cell in zip(told, more, strict=True):
            cells[name] = cell
    return [replace(row, cells=cells) for row, cells in zip(rows, told, strict=True)]
