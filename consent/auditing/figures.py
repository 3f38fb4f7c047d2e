"""What the figures of a compliance audit report are made of: a period, and tables that say how they are computed."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime, time, timedelta
from enum import StrEnum
from typing import TYPE_CHECKING, Any
from zoneinfo import ZoneInfo

from django.db import connection
from django.utils.formats import date_format
from django.utils.timezone import localtime
from django.utils.translation import gettext_lazy as _

if TYPE_CHECKING:
    from django.utils.functional import _StrPromise

DAY = timedelta(days=1)


class Lasting(StrEnum):
    """Whether the same period, once it is over, gives the same figures when it is asked again."""

    FIXED = "fixed"
    OPEN = "open"
    ERASURE = "erasure"
    NOW = "now"


LASTING: Mapping[Lasting, "_StrPromise"] = {
    Lasting.FIXED: _("stays as it is"),
    Lasting.OPEN: _("may change while something of the period is not over"),
    Lasting.ERASURE: _("may change when somebody is erased or restricted, or rows are kept no longer"),
    Lasting.NOW: _("of the moment the report was made"),
}


@dataclass(frozen=True)
class Period:
    """Inclusive local days of a mini-program."""

    first: date
    last: date
    zone: ZoneInfo

    @property
    def begins(self) -> datetime:
        return datetime.combine(self.first, time.min, self.zone)

    @property
    def ends(self) -> datetime:
        """The first moment that is no longer part of it."""
        return datetime.combine(self.last + DAY, time.min, self.zone)

    @property
    def months(self) -> tuple[date, date] | None:
        """The first and the last day of the whole calendar months in it; None where there is none."""
        first = self.first if self.first.day == 1 else _next_month(self.first)
        last = (self.last + DAY).replace(day=1) - DAY
        return (first, last) if first <= last else None

    @property
    def years(self) -> tuple[date, date] | None:
        """The same of whole calendar years."""
        first = date(self.first.year + ((self.first.month, self.first.day) != (1, 1)), 1, 1)
        last = (self.last + DAY).replace(month=1, day=1) - DAY
        return (first, last) if first <= last else None


def _next_month(day: date) -> date:
    return (day.replace(day=1) + 31 * DAY).replace(day=1)


@dataclass(frozen=True)
class Column:
    """`words`: what a cell says in the reader's language; the cell as it is where there are none. `people`: a number of
    these, which is not told below k."""

    code: str
    title: "_StrPromise"
    words: Callable[[Any], Any] | None = None
    people: bool = False


@dataclass(frozen=True)
class Asked:
    """What a report is asked for. `within`: by when what a consent left is erased."""

    program_id: int
    period: Period
    now: datetime
    within: timedelta
    k: int

    @property
    def over(self) -> Period:
        """As much of the period as is over, in days: of what is not, two reports on two days would tell the days between."""
        yesterday = self.now.astimezone(self.period.zone).date() - DAY
        return replace(self.period, last=min(self.period.last, yesterday))


@dataclass(frozen=True)
class Definition:
    """A figure before it is made. `find` answers its rows; cells are texts, numbers, booleans, None."""

    code: str
    title: "_StrPromise"
    definition: "_StrPromise"
    lasting: Lasting
    columns: tuple[Column, ...]
    find: Callable[[Asked], Sequence[Sequence[Any]]]


@dataclass(frozen=True)
class Figure:
    """`rows`: a cell a column; None where it is not told, or there is none."""

    definition: Definition
    rows: Sequence[Sequence[Any]]


def made(definition: Definition, asked: Asked) -> Figure:
    """Under the tenant. What is below k, and not nobody, is left out of the cells of people."""
    counts = [column.people for column in definition.columns]
    rows = [
        [told(value, asked.k) if people else value for value, people in zip(row, counts, strict=True)]
        for row in definition.find(asked)
    ]
    return Figure(definition, rows)


def told(people: int | None, k: int) -> int | None:
    """None: fewer than k, and not nobody."""
    return people if not people or people >= k else None


def rows_of(sql: str) -> Callable[[Asked], Sequence[Sequence[Any]]]:
    """The rows of a statement, which may name program, begins, ends, now, within, zone, and of whole months or years that are
    over months_begin, months_end, year_begins and year_ends."""

    def find(asked: Asked) -> Sequence[Sequence[Any]]:
        period, months, years = asked.period, asked.over.months, asked.over.years
        values: dict[str, Any] = {
            "program": asked.program_id,
            "begins": period.begins,
            "ends": period.ends,
            "now": asked.now,
            "within": asked.within,
            "zone": period.zone.key,
            "months_begin": datetime.combine(months[0], time.min, period.zone) if months else period.begins,
            "months_end": datetime.combine(months[1] + DAY, time.min, period.zone) if months else period.begins,
            "year_begins": datetime.combine(years[0], time.min, period.zone) if years else period.begins,
            "year_ends": datetime.combine(years[1] + DAY, time.min, period.zone) if years else period.begins,
        }
        with connection.cursor() as cursor:
            cursor.execute(sql, values)
            return [[_plain(value) for value in row] for row in cursor.fetchall()]

    return find


def moment(value: Any) -> str:
    """The words of a cell with a time, in the reader's zone."""
    return date_format(localtime(datetime.fromisoformat(value)), "Y-m-d H:i")


def _plain(value: Any) -> Any:
    return value.isoformat() if isinstance(value, date) else value
