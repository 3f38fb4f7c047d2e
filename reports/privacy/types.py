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
        self._rows: dict[tuple[Period, str | None], Sequence[Judged]] = {}

    def hide(self, of: OfType, period: Period, *, month: str | None = None) -> bool:
        """A type of which nothing happened, and any in a period that goes on, is as its own figure says. `month`: which one the
        period is, where it is one, by its first day."""
        if self._k == 1 or not closed(period, self._as_of):
            return False
        return any(self._hides(event, of.column, period, month) for event in (of.event, *of.others))

    def _hides(self, event: str, column: str, period: Period, month: str | None) -> bool:
        if not self._happened(event, period):
            return False
        if (period, month) not in self._rows:
            self._rows[period, month] = self._judged(period, month)
        told = [row for row in self._rows[period, month] if row.part.value == event and not row.part.other]
        return not told or told[0].cells[column].status is Status.SUPPRESSED

    def _judged(self, period: Period, month: str | None) -> Sequence[Judged]:
        days = [line for line in self._lines if inside(line.period, period)]
        if [line.period for line in days] == [period]:
            return judged(days[0], self._k, self._as_of)
        found: dict[Value, list[Tally]] = {}
        for line in days:
            for value, tally in parted(line).items():
                found.setdefault(value, []).append(tally)
        parts = {value: added(some) for value, some in found.items()}
        whole = Dimension(period, NAME, parts, keys=None if month is None else {"month": month})
        return self._days.rows(whole, judged(whole, self._k, self._as_of))

    def _happened(self, event: str, period: Period) -> bool:
        return any(event in parted(line) for line in self._lines if inside(line.period, period))

    @cached_property
    def _days(self) -> Days:
        return Days([], [(line, judged(line, self._k, self._as_of)) for line in self._lines], self._k, self._as_of)


def room_left(
    line: Dimension, rows: Sequence[Judged], of_type: Mapping[str, OfType], types: Types, k: int, as_of: datetime
) -> list[Judged]:
    """Rows whose column adds up to a type's events are told where these are, and where all of them can be worked out from the rows.

    No row is hidden in the others' stead: in another range, or a longer interval, it would be another one, and the two would tell
    both. What tells the sum in each row, such as a share of it, is hidden by itself.
    """
    hidden = {
        name
        for name, of in of_type.items()
        if rows and name in rows[0].cells and types.hide(of, line.period, month=line.keys.get("month"))
    }
    sums = any(isinstance(rows[0].figures[name], Count) for name in hidden)
    if sums or (line.tells is not None and types.hide(line.tells, line.period)):
        return [replace(row, cells=dict.fromkeys(row.cells, SUPPRESSED)) for row in rows]
    if not hidden:
        return list(rows)
    told = [
        dict(row.cells) | {name: SUPPRESSED for name in hidden if row.cells[name].status is Status.OK} for row in rows
    ]
    for name in rows[0].cells:
        column = [cells[name] for cells in told]
        more = hide_more([row.figures[name] for row in rows], column, line.period, k, as_of)
        for cells, cell in zip(told, more, strict=True):
            cells[name] = cell
    return [replace(row, cells=cells) for row, cells in zip(rows, told, strict=True)]
