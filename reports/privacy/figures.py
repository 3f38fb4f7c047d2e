"""What a metric computes, before the gate: numbers that nothing can print, store or send.

A metric answers `Figures`, and `Figures` have no form outside this process: JSON, msgspec, pickle (and so a cache or a
Celery message), `str` and `repr` give none of their numbers. Only reports.privacy opens a figure, to decide whether it
may be told. So a metric that somebody forgot to gate fails loudly instead of singling a person out.

A figure rests on *blocks* of subjects: the sets that it tells apart. A count has one; a share has two, those in it and
those not, because 0 % and 100 % tell of everybody.

A table whose rows are values of a dimension (pages, scenes) comes as a `Dimension` of tallies: rows have to be merged
before figures are made of them, because a rate, a mean or a quantile cannot be put together from others.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime
from typing import Any, ClassVar, NamedTuple, NoReturn, Protocol, Self

import numpy as np
from numpy.typing import NDArray
from pyroaring import BitMap64


class AtLeast(int):
    """A lower bound of how many distinct subjects, where nobody may be remembered. Of a union the largest is sure."""


Subjects = int | AtLeast | BitMap64
"""How many distinct subjects, or which ones: where a table has a total (Figures.summed), the latter or a lower bound."""


Value = str | None
"""A value of a dimension; None where the event says none."""
Told = float | tuple[float, float | None] | None
"""What a cell shows: a number, or the edges of a bin."""


class Closed:
    """Shows nothing of itself and leaves the process in no form."""

    __slots__ = ()

    def __repr__(self) -> str:
        return f"{type(self).__name__}(closed)"

    def __reduce_ex__(self, protocol: object) -> NoReturn:
        raise TypeError("a figure leaves this process through reports.privacy only")


class Figure(Closed):
    """A number, or None where it is not defined (a mean of nothing), and its blocks.

    `additive`: a table's rows and their total could be taken from each other. `apart`: each block is judged by itself,
    since nobody's being in one of them tells nothing of those in another. `distinct`: it tells how many subjects there
    are, and rows that overlap do not add up. `final`: not observable until its period is over.
    """

    __slots__ = ("_blocks", "_number")
    additive: ClassVar[bool] = True
    apart: ClassVar[bool] = False
    distinct: ClassVar[bool] = False
    final: ClassVar[bool] = False

    def __init__(self, number: float | None, *blocks: Subjects) -> None:
        self._number = number
        self._blocks = blocks

    def _told(self, k: int) -> Told:
        return self._number


class Count(Figure):
    """A number, and on how many distinct subjects it rests (itself, where it counts subjects)."""

    __slots__ = ()

    def __init__(self, number: int, subjects: Subjects | None = None) -> None:
        super().__init__(number, number if subjects is None else subjects)


class Distinct(Count):
    """Distinct subjects of a row that may overlap with others."""

    __slots__ = ()
    additive = False
    distinct = True

    def __init__(self, subjects: BitMap64) -> None:
        super().__init__(len(subjects), subjects)


class Absent(Figure):
    """Who did not come in a period: `who` stayed away, of whom `others` came. They may come yet until it is over."""

    __slots__ = ()
    final = True

    def __init__(self, who: BitMap64, *, others: BitMap64) -> None:
        super().__init__(len(who), who, others)


class PartCount(Figure):
    """A part of a count that is told beside it: the blocks of the Share of the two, which could be computed."""

    __slots__ = ()

    def __init__(self, number: int, *, inside: Subjects, outside: Subjects) -> None:
        super().__init__(number, inside, outside)


class Known(Figure):
    """A number about those parts of a told count that have a value; `rests`: the subjects of each part of the count."""

    __slots__ = ()
    apart = True

    def __init__(self, number: float | None, *rests: Subjects) -> None:
        super().__init__(None if number is None else _rounded(number), *rests)


class Sum(Figure):
    """A number beside which its parts are told or could be worked out: a block for each of them."""

    __slots__ = ()
    apart = True


class Share(Figure):
    """part / whole, to four places. `inside`: the subjects with something in the part; `outside`: in the rest.

    `further`: those with what another told count less the part would tell.
    """

    __slots__ = ()

    def __init__(self, part: int, whole: int, *further: Subjects, inside: Subjects, outside: Subjects) -> None:
        super().__init__(round(part / whole, 4) if whole else None, inside, outside, *further)


class Mean(Figure):
    """total / number, to three places, and the subjects it is taken over."""

    __slots__ = ()

    def __init__(self, total: float, number: int, *, subjects: Subjects) -> None:
        super().__init__(_rounded(total / number) if number else None, subjects)


class PerSubject(Figure):
    """total / distinct subjects, to three places: told beside one of the two it tells the other."""

    __slots__ = ()
    distinct = True

    def __init__(self, total: int, subjects: BitMap64) -> None:
        super().__init__(round(total / len(subjects), 3) if subjects else None, subjects)


def _rounded(number: float) -> float | None:
    """To three places; None where values a client made up add up to more than a number holds: JSON has no infinity."""
    return round(number, 3) if math.isfinite(number) else None


class Period(NamedTuple):
    """[begins, ends), as instants."""

    begins: datetime
    ends: datetime


@dataclass(frozen=True, slots=True)
class Row:
    """A line of a table: `keys` say what it is about (`{"date": "2026-10-05"}`), and all its counts end with `period`.

    `parts`: counts, of sets and equally many blocks, that add up to one told elsewhere. `hidden_with`: count -> one of these
    that it would tell of. `begun`: the period that its events of one type lie in, where `period` ends later.
    """

    period: Period
    keys: Mapping[str, str | None]
    counts: Mapping[str, Figure]
    parts: Sequence[str] = ()
    hidden_with: Mapping[str, str] = field(default_factory=dict)
    begun: Period | None = None


class Tally(Protocol):
    """What the events of some values of a dimension come to. Adding loses nothing; figures are made at the very end."""

    @property
    def subjects(self) -> BitMap64: ...

    def __add__(self, other: Self) -> Self: ...

    def figures(self) -> Mapping[str, Figure]: ...


@dataclass(frozen=True, slots=True)
class Detail:
    """A further table about each row of a dimension: `split` parts the row's tally by the values of `name`.

    `needs`: the cells of the row that the parts add up to. Where one of them is not told, neither are the parts.
    """

    table: str
    name: str
    needs: Sequence[str]
    split: Callable[[Any], Mapping[Value, Tally]]


class Dimension(Closed):
    """Lines of a table, one for each value of `name`; `keys` say what they are about beside it.

    `parts`: every event counts in one of them. `only`: one line for these values together, and none for others. `tells`: the
    type of events whose number can be worked out from all lines together.
    """

    __slots__ = ("_parts", "details", "keys", "name", "only", "period", "tells")

    def __init__(
        self,
        period: Period,
        name: str,
        parts: Mapping[Value, Tally],
        *,
        keys: Mapping[str, str] | None = None,
        details: Sequence[Detail] = (),
        only: frozenset[str] | None = None,
        tells: "OfType | None" = None,
    ) -> None:
        self.period = period
        self.tells = tells
        self.name = name
        self._parts = parts
        self.keys = keys or {}
        self.details = details
        self.only = only


class Steps(Closed):
    """Lines of a funnel: one for each step of each part of `dimension`. `keys`: what is said of each step.

    The figures of a tally are named `column/n`, n from 1, with `subjects/n` among them; `nobody` is the empty tally. `split`:
    the dimension was asked for, and its values are told.
    """

    __slots__ = ("_nobody", "dimension", "keys", "split")

    def __init__(
        self, keys: Sequence[Mapping[str, str | int | None]], dimension: Dimension, nobody: Tally, *, split: bool
    ) -> None:
        self.keys = keys
        self.dimension = dimension
        self._nobody = nobody
        self.split = split


class Change(Closed):
    """Lines of a table, one for each value of a dimension, over two periods.

    The first dimension of either period is told; the others are judged beside it, since other reports tell them: a value has
    a line of its own where it has one in all of them, or is in none of a period's. `nobody` is the empty tally of the first.
    """

    __slots__ = ("_nobody", "after", "before")

    def __init__(self, before: Sequence[Dimension], after: Sequence[Dimension], nobody: Tally) -> None:
        self.before = before
        self.after = after
        self._nobody = nobody


class Walked(NamedTuple):
    """A row a session: through which nodes it went, from the first step on, and whose it was.

    `nodes`: sessions x steps, places in `names`, -1 where the path stopped before; each has a first node.
    """

    nodes: NDArray[np.int32]
    subjects: NDArray[np.int64]
    names: Sequence[Value]


class Flows(Closed):
    """Paths of so many nodes at most. `backward`: each node came before the one at the step before."""

    __slots__ = ("_paths", "backward", "period")

    def __init__(self, period: Period, paths: Walked, *, backward: bool) -> None:
        self.period = period
        self._paths = paths
        self.backward = backward


@dataclass(frozen=True, slots=True)
class Cohort:
    """A line of a cohort table: who began in `period`, and the part of them found in each cell's own period.

    `chained`: each cell's subjects are among those of the cell before, so that differences tell of people too.
    """

    period: Period
    keys: Mapping[str, str]
    size: Figure
    cells: Sequence[tuple[Period, Figure]]
    chained: bool = False


class OfType(NamedTuple):
    """A column of `trends` (`events`, `subjects`) for one type of events. `others`: types that are counted with it. `begun`: when
    they happened, where the figure's period is longer than that."""

    event: str
    column: str = "events"
    others: tuple[str, ...] = ()
    begun: Period | None = None


class Month(NamedTuple):
    """Who was there, by day."""

    period: Period
    came: Mapping[date, BitMap64]


class Whole(NamedTuple):
    """Ranges that tables without intervals are of: first and last day, and the period; `month`: by its first day."""

    ranges: Sequence[tuple[date, date, Period]]
    month: Callable[[date], Month]


@dataclass(frozen=True, slots=True)
class Figures:
    """A metric's tables by name, and `totals` of the whole range beside them.

    `summed`: the table whose rows the totals of the same names are made of; its blocks are sets. `of_type`: figures, by their
    names, that are those of one type of events, or tell them; `types`: by day, the events of each type. `whole`: of what
    ranges tables are that have no intervals.
    """

    tables: Mapping[str, Sequence[Row | Cohort | Dimension | Steps | Flows | Change]]
    totals: Mapping[str, tuple[Period, Figure]] = field(default_factory=dict)
    summed: str | None = None
    of_type: Mapping[str, OfType] = field(default_factory=dict)
    types: Sequence[Dimension] = ()
    whole: Whole | None = None


def opened(figure: Figure, k: int = 1) -> tuple[Told, tuple[Subjects, ...]]:
    """(what it shows, blocks). For reports.privacy alone; a test keeps others from importing it."""
    return figure._told(k), figure._blocks


def parted(dimension: Dimension) -> Mapping[Value, Tally]:
    """For reports.privacy alone, as `opened`."""
    return dimension._parts


def parted_by(steps: Steps | Change) -> Tally:
    """The empty tally, for reports.privacy alone, as `opened`."""
    return steps._nobody


def walked(flows: Flows) -> Walked:
    """For reports.privacy alone, as `opened`."""
    return flows._paths
