"""Medians and other quantiles, from fixed public bins.

A value is counted in the bin [edge, next edge) that it lies in; what lies beyond the first or last edge counts in the
first or last bin. The edges are part of a metric's definition and known to everybody: they do not depend on the data.
Where fewer than k subjects are in a bin, it is merged with its neighbours below it until k are (`merged`), so that
every bin a figure is made from rests on k subjects.

What is told is the middle of the merged bin that the rank q·n falls in, and beside it the bin's edges. The true quantile
lies between these; so the error is half their distance at most. How far the rank lies within the bin is not told: beside
counts of parts of the values (pages by load time) it would tell how many are in a bin, and of few people. The last bin,
and the uppermost where it had to be merged, is open above (None): its lower edge is told, and the true quantile is no
less. An edge next to empty bins is told only where the bin, or band (below), that it bounds has k subjects by itself:
otherwise it would say where the one highest value lies.

Where counts of the same values by band are told beside it, the bands' edges are *walls*: no bin lies in two bands, unless
it is made of whole ones. A bin across a wall would tell, since it holds k, how many at most are on its other side. What
remains: a band too small for a row merges with its neighbours here and with the other small ones there; where these
hardly hold k, the two may bound how many are in it.
"""

from bisect import bisect_right
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from functools import cached_property
from typing import NamedTuple

from pyroaring import BitMap64

from reports.privacy.figures import Closed, Figure, Told

Filled = Mapping[int, tuple[int, BitMap64]]
"""Number of the bin, from 1 -> how many values are in it, and whose."""


class Bin(NamedTuple):
    """[low, high); `high` None: open."""

    low: float
    high: float | None
    number: int
    subjects: BitMap64


class Values(Closed):
    """Values in bins with these edges: what all quantiles of them have in common is worked out once."""

    def __init__(self, edges: Sequence[float], filled: Filled, walls: Sequence[float]) -> None:
        self._edges = edges
        self._filled = filled
        self._walls = walls or edges[:1]
        self._merged: dict[int, list[Bin]] = {}

    @cached_property
    def subjects(self) -> BitMap64:
        return BitMap64().union(*(subjects for _, subjects in self._filled.values()))

    def at(self, q: float, k: int) -> Bin | None:
        """The merged bin with the q-quantile."""
        if k not in self._merged:
            self._merged[k] = walled(self._edges, self._walls, self._filled, k)
        rank = q * sum(number for number, _ in self._filled.values())
        for one in self._merged[k]:
            if rank <= one.number:
                return one
            rank -= one.number
        return None


class Quantile(Figure):
    """The q-quantile (0 < q < 1) of values; None where there is no value."""

    __slots__ = ("_q", "_values")
    additive = False

    def __init__(self, q: float, values: Values) -> None:
        super().__init__(None, values.subjects)
        self._q = q
        self._values = values

    def _told(self, k: int) -> Told:
        found = self._values.at(self._q, k)
        if found is None:
            return None
        return round(found.low if found.high is None else (found.low + found.high) / 2, 3)


class QuantileBin(Quantile):
    """The edges between which a Quantile of the same values lies."""

    __slots__ = ()

    def _told(self, k: int) -> Told:
        found = self._values.at(self._q, k)
        return None if found is None else (found.low, found.high)


def quantiles(
    edges: Sequence[float], filled: Filled, wanted: Mapping[str, float], walls: Sequence[float] = ()
) -> dict[str, Figure]:
    """Name -> the figure, and name_bin -> its bin, for each wanted quantile. `walls`: some of the edges, the first too."""
    values = Values(edges, filled, walls)
    figures: dict[str, Figure] = {}
    for name, q in wanted.items():
        figures[name] = Quantile(q, values)
        figures[f"{name}_bin"] = QuantileBin(q, values)
    return figures


def summed(counted: Iterable[tuple[int | None, int, BitMap64]]) -> Filled:
    """From (bin, how many values, whose) in any number a bin; without a bin there is no value."""
    numbers: dict[int, int] = defaultdict(int)
    subjects: dict[int, list[BitMap64]] = defaultdict(list)
    for place, number, whose in counted:
        if place is not None:
            numbers[place] += number
            subjects[place].append(whose)
    return {place: (number, BitMap64().union(*subjects[place])) for place, number in numbers.items()}


def walled(edges: Sequence[float], walls: Sequence[float], filled: Filled, k: int) -> list[Bin]:
    """As `merged`, first the bands between walls; a band with k subjects by itself is then told by its bins."""
    bands = summed((bisect_right(walls, edges[place - 1]), *of) for place, of in filled.items())
    places = [*(edges.index(wall) for wall in walls), len(edges) - 1]
    bins: list[Bin] = []
    for band in merged([edges[place] for place in places], bands, k):
        n = walls.index(band.low)
        below, last = places[n], places[n + 1]
        if band.high != (edges[last] if n + 1 < len(walls) else None):
            bins.append(band)
            continue
        inside = {place - below: of for place, of in filled.items() if below < place <= last}
        for one in merged(edges[below : last + 1], inside, k):
            bins.append(one if one.high is not None else one._replace(high=band.high))
    return bins


def merged(edges: Sequence[float], filled: Filled, k: int) -> list[Bin]:
    """From the lowest to the highest, each with k subjects, if all together have as many; empty ones left out.

    From the top down, so that a long tail spoils the fewest of the others; what is left at the bottom joins the lowest.
    """
    bins: list[Bin] = []
    high, number, subjects = None, 0, BitMap64()
    for place in sorted(filled, reverse=True):
        here, whose = filled[place]
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
