"""Medians and other quantiles, from fixed public bins.

A value is counted in the bin [edge, next edge) that it lies in; what lies beyond the first or last edge counts in the
first or last bin. The edges are part of a metric's definition and known to everybody: they do not depend on the data.
Where fewer than k subjects are in a bin, it is merged with its neighbours below it until k are (`merged`), so that
every bin a figure is made from rests on k subjects.

What is told is the point of the merged bin that the rank q·n falls on, as if the bin's values were spread evenly, and
beside it the bin's edges. The true quantile lies between these; so the error is their distance at most. The last bin, and
the uppermost where it had to be merged, is open above (None): its lower edge is told, and the true quantile is no less.
An edge next to empty bins is told only where the bin that it bounds has k subjects by itself: otherwise it would say
where the one highest value lies.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

from pyroaring import BitMap64

from reports.privacy.figures import Figure, Told

Filled = Mapping[int, tuple[int, BitMap64]]
"""Number of the bin, from 1 -> how many values are in it, and whose."""


class Bin(NamedTuple):
    """[low, high); `high` None: open."""

    low: float
    high: float | None
    number: int
    subjects: BitMap64


class Quantile(Figure):
    """The q-quantile (0 < q < 1) of values in bins with these edges; None where there is no value."""

    __slots__ = ("_edges", "_filled", "_q")
    additive = False

    def __init__(self, q: float, edges: Sequence[float], filled: Filled) -> None:
        super().__init__(None, BitMap64().union(*(subjects for _, subjects in filled.values())))
        self._q = q
        self._edges = edges
        self._filled = filled

    def _told(self, k: int) -> Told:
        found = self._bin(k)
        if found is None:
            return None
        (low, high, number, _), rank = found
        return round(low if high is None else low + (high - low) * rank / number, 3)

    def _bin(self, k: int) -> tuple[Bin, float] | None:
        """The merged bin with the quantile, and its rank within it."""
        rank = self._q * sum(number for number, _ in self._filled.values())
        for one in merged(self._edges, self._filled, k):
            if rank <= one.number:
                return one, rank
            rank -= one.number
        return None


class QuantileBin(Quantile):
    """The edges between which a Quantile of the same values lies."""

    __slots__ = ()

    def _told(self, k: int) -> Told:
        found = self._bin(k)
        return None if found is None else (found[0].low, found[0].high)


def quantiles(edges: Sequence[float], filled: Filled, **wanted: float) -> dict[str, Figure]:
    """Name -> the figure, and name_bin -> its bin, for each wanted quantile."""
    figures: dict[str, Figure] = {}
    for name, q in wanted.items():
        figures[name] = Quantile(q, edges, filled)
        figures[f"{name}_bin"] = QuantileBin(q, edges, filled)
    return figures


def filled(counted: Iterable[tuple[int | None, int, BitMap64]]) -> Filled:
    """From (bin, how many values, whose) in any number a bin; without a bin there is no value."""
    numbers: dict[int, int] = defaultdict(int)
    subjects: dict[int, list[BitMap64]] = defaultdict(list)
    for place, number, whose in counted:
        if place is not None:
            numbers[place] += number
            subjects[place].append(whose)
    return {place: (number, BitMap64().union(*subjects[place])) for place, number in numbers.items()}


def merged(edges: Sequence[float], filled: Filled, k: int) -> list[Bin]:
    """From the lowest to the highest, each with k subjects, if all together have as many; empty ones left out.

    From the top down, so that a long tail spoils the fewest of the others; what is left at the bottom joins the lowest.
    """
    bins: list[Bin] = []
    high, number, subjects = None, 0, BitMap64()
    for place in range(len(edges) - 1, 0, -1):
        here, whose = filled.get(place, (0, BitMap64()))
        if not subjects and len(whose) >= k and place < len(edges) - 1:
            high = edges[place]
        number, subjects = number + here, subjects | whose
        if len(subjects) >= k:
            bins.append(Bin(edges[place - 1], high, number, subjects))
            high, number, subjects = edges[place - 1], 0, BitMap64()
    if subjects and bins:
        lowest = bins.pop()
        bins.append(Bin(edges[0], lowest.high, lowest.number + number, lowest.subjects | subjects))
    return bins[::-1]
