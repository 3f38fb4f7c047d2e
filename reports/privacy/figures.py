"""What a metric computes, before the gate: numbers that nothing can print, store or send.

A metric answers `Figures`, and `Figures` have no form outside this process: JSON, msgspec, pickle (and so a cache or a
Celery message), `str` and `repr` give none of their numbers. Only reports.privacy opens a figure, to decide whether it
may be told. So a metric that somebody forgot to gate fails loudly instead of singling a person out.

A figure rests on *blocks* of subjects: the sets that it tells apart. A count has one; a share has two, those in it and
those not, because 0 % and 100 % tell of everybody.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import NamedTuple, NoReturn

from pyroaring import BitMap64


class AtLeast(int):
    """A lower bound of how many distinct subjects, where nobody may be remembered. Of a union the largest is sure."""


Subjects = int | AtLeast | BitMap64
"""How many distinct subjects, or which ones: where a table has a total (Figures.summed), the latter or a lower bound."""


class Figure:
    """A number, or None where it is not defined (a mean of nothing), and its blocks."""

    __slots__ = ("_blocks", "_number")

    def __init__(self, number: float | None, *blocks: Subjects) -> None:
        self._number = number
        self._blocks = blocks

    def __repr__(self) -> str:
        return f"{type(self).__name__}(closed)"

    def __reduce_ex__(self, protocol: object) -> NoReturn:
        raise TypeError("a figure leaves this process through reports.privacy only")


class Count(Figure):
    """A number, and on how many distinct subjects it rests (itself, where it counts subjects)."""

    __slots__ = ()

    def __init__(self, number: int, subjects: Subjects | None = None) -> None:
        super().__init__(number, number if subjects is None else subjects)


class Sum(Figure):
    """A number beside which its parts are told or could be worked out: a block for each part, with somebody or not.

    Nobody in a part is no disclosure of a sum, as it is of a share.
    """

    __slots__ = ()


class Share(Figure):
    """part / whole, to four places. `inside`: the subjects with something in the part; `outside`: in the rest."""

    __slots__ = ()

    def __init__(self, part: int, whole: int, *, inside: Subjects, outside: Subjects) -> None:
        super().__init__(round(part / whole, 4) if whole else None, inside, outside)


class Mean(Figure):
    """total / number, to three places, and the subjects it is taken over."""

    __slots__ = ()

    def __init__(self, total: float, number: int, *, subjects: Subjects) -> None:
        super().__init__(round(total / number, 3) if number else None, subjects)


class Period(NamedTuple):
    """[begins, ends), as instants."""

    begins: datetime
    ends: datetime


@dataclass(frozen=True, slots=True)
class Row:
    """A line of a table: `keys` say what it is about (`{"date": "2026-10-05"}`), and all its counts end with `period`."""

    period: Period
    keys: Mapping[str, str]
    counts: Mapping[str, Figure]


@dataclass(frozen=True, slots=True)
class Cohort:
    """A line of a cohort table: who began in `period`, and the part of them found in each cell's own period.

    `chained`: each cell's subjects are among those of the cell before, so that differences tell of people too.
    """

    period: Period
    keys: Mapping[str, str]
    size: Count
    cells: Sequence[tuple[Period, Figure]]
    chained: bool = False


@dataclass(frozen=True, slots=True)
class Figures:
    """A metric's tables by name, and `totals` of the whole range beside them.

    `summed`: the table whose rows the totals of the same names are made of; its blocks are sets.
    """

    tables: Mapping[str, Sequence[Row | Cohort]]
    totals: Mapping[str, tuple[Period, Figure]] = field(default_factory=dict)
    summed: str | None = None


def opened(figure: Figure) -> tuple[float | None, tuple[Subjects, ...]]:
    """(number, blocks). For reports.privacy alone; a test keeps others from importing it."""
    return figure._number, figure._blocks
