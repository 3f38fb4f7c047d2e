"""What the tallies of several metrics have in common."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Protocol, Self

from pyroaring import BitMap64

from reports.privacy.figures import Count, Distinct, Figure


class Theirs(Protocol):
    """Something that subjects did."""

    @property
    def subjects(self) -> BitMap64: ...


def whose(some: Iterable[Theirs]) -> BitMap64:
    """Everybody who did any of it."""
    return BitMap64().union(*(one.subjects for one in some))


@dataclass(frozen=True, slots=True)
class Tallied:
    """How many of what is `counted` (the figure's name: sessions, interactions), and who had them."""

    counted: str
    number: int
    subjects: BitMap64

    def __add__(self, other: Self) -> "Tallied":
        return Tallied(self.counted, self.number + other.number, self.subjects | other.subjects)

    def figures(self) -> dict[str, Figure]:
        return {self.counted: Count(self.number, subjects=self.subjects), "subjects": Distinct(self.subjects)}


NONE = Tallied("events", 0, BitMap64())
