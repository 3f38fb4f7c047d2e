"""What a metric computes, before the gate: numbers that nothing can print, store or send.

A metric answers `Figures`, and `Figures` have no form outside this process: JSON, msgspec, pickle (and so a cache or a
Celery message), `str` and `repr` give none of their numbers. Only reports.privacy opens a `Count`, to decide whether it
may be told. So a metric that somebody forgot to gate fails loudly instead of singling a person out.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import NamedTuple, NoReturn


class Count:
    """A number, and on how many distinct subjects it rests (itself, where it counts subjects)."""

    __slots__ = ("_number", "_subjects")

    def __init__(self, number: int, subjects: int | None = None) -> None:
        self._number = number
        self._subjects = number if subjects is None else subjects

    def __repr__(self) -> str:
        return "Count(closed)"

    def __reduce_ex__(self, protocol: object) -> NoReturn:
        raise TypeError("a count leaves this process through reports.privacy only")


class Period(NamedTuple):
    """[begins, ends), as instants."""

    begins: datetime
    ends: datetime


@dataclass(frozen=True, slots=True)
class Row:
    """A line of a table: `keys` say what it is about (`{"date": "2026-10-05"}`), and all its counts end with `period`."""

    period: Period
    keys: Mapping[str, str]
    counts: Mapping[str, Count]


@dataclass(frozen=True, slots=True)
class Figures:
    """A metric's tables by name, and `totals` of the whole range beside them."""

    tables: Mapping[str, Sequence[Row]]
    totals: Mapping[str, tuple[Period, Count]] = field(default_factory=dict)


def opened(count: Count) -> tuple[int, int]:
    """(number, subjects). For reports.privacy alone; a test keeps others from importing it."""
    return count._number, count._subjects
