"""The figures of `pages`, made of arrays of views: only a set is an object, and none for each view or subject.

A tally is some arrays, and adding tallies is having the arrays of both: the gate adds those of small pages before any figure is
made. Then views that are alike have one set, and the others are made of these.
"""

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, NamedTuple, Self

import numpy as np
from numpy.typing import NDArray
from pyroaring import BitMap64

from reports.columns.events import Numbers
from reports.columns.groups import bitmap
from reports.metrics.bands import DWELL_S, LOAD_BANDS, LOAD_MS, band
from reports.metrics.tallies import Tallied, whose
from reports.privacy.bins import Filled, quantiles
from reports.privacy.figures import Count, Detail, Distinct, Figure, Known, Mean, PartCount, Share, Value

Records = NDArray[np.void]

CLIENT, GAP = 1, 2
VIEW = np.dtype(
    [
        ("page", "i8"),
        ("subject", "i8"),
        ("dwell", "i8"),
        ("scroll", "f8"),
        ("entry", "?"),
        ("exit", "?"),
        ("bounced", "?"),
        ("source", "i1"),
        ("dwell_bin", "i1"),
        ("load_bin", "i1"),
    ],
    align=True,
)
"""`dwell` in microseconds, of `source` CLIENT, GAP or 0: not known; `scroll` NaN: none; bins from 1, 0: none."""
TOUCH = np.dtype([("page", "i8"), ("subject", "i8"), ("element", "i8")])
"""An interaction; `element`: its place among the texts of Heat."""

_MICROSECONDS = 1_000_000
WALLS = tuple(edge for edge, _ in LOAD_BANDS)
"""Between the load bands, whose views are told beside the quantiles."""
_NAMES = (None, *(name for _, name in LOAD_BANDS))
_BANDS = np.array([0, *(_NAMES.index(band(LOAD_BANDS, edge)) for edge in LOAD_MS[:-1])], np.int8)
"""Number of a load bin, or 0 -> its band, or none."""


def by(subjects: Numbers, numbers: NDArray[Any]) -> Filled:
    """How many of the subjects, once for each view, have each small number from 1 on, and which."""
    ordered = subjects.take(numbers.argsort(kind="stable"))
    counts = np.bincount(numbers)
    ends = counts.cumsum().tolist()
    return {
        n: (number, bitmap(ordered[ends[n] - number : ends[n]]))
        for n, number in enumerate(counts.tolist())
        if n and number
    }


class Kind(NamedTuple):
    """What views that are alike have in common."""

    entry: bool
    exit: bool
    bounced: bool
    scrolled: bool
    source: int


class Alike(NamedTuple):
    """So many views of a kind, and whose."""

    kind: Kind
    number: int
    subjects: BitMap64


class Sides(NamedTuple):
    """How many views have a flag, whose these are, and whose the rest."""

    number: int
    inside: BitMap64
    outside: BitMap64


@dataclass(frozen=True, slots=True)
class Band:
    """Views of a load-time band: exits, and the others."""

    exits: Tallied
    others: Tallied

    @property
    def subjects(self) -> BitMap64:
        return self.exits.subjects | self.others.subjects

    def __add__(self, other: Self) -> "Band":
        return Band(self.exits + other.exits, self.others + other.others)

    def figures(self) -> dict[str, Figure]:
        exits, others = self.exits, self.others
        number = exits.number + others.number
        rate = Share(exits.number, number, inside=exits.subjects, outside=others.subjects)
        return {"views": Count(number, subjects=self.subjects), "exit_rate": rate}


@dataclass(frozen=True, eq=False)
class Heat:
    """Everything about some pages, in arrays of VIEW and of TOUCH. `elements`: the texts of all pages; `of`: how many views all
    pages have."""

    parts: tuple[Records, ...] = field(repr=False)
    touched: tuple[Records, ...] = field(repr=False)
    elements: Sequence[Value]
    of: int

    @cached_property
    def views(self) -> Records:
        return _one(self.parts)

    @cached_property
    def touches(self) -> Records:
        return _one(self.touched)

    @cached_property
    def alike(self) -> Sequence[Alike]:
        return _alike(self.views)

    @cached_property
    def viewers(self) -> BitMap64:
        return whose(self.alike)

    @cached_property
    def touching(self) -> BitMap64:
        return bitmap(self.touches["subject"])

    @cached_property
    def subjects(self) -> BitMap64:
        return self.viewers | self.touching

    def __add__(self, other: Self) -> "Heat":
        return Heat(self.parts + other.parts, self.touched + other.touched, self.elements, self.of)

    def figures(self) -> dict[str, Figure]:
        views, alike, number, viewers = self.views, self.alike, len(self.views), self.viewers
        entries = [one for one in alike if one.kind.entry]
        entered, left = _sides(alike, lambda kind: kind.entry), _sides(alike, lambda kind: kind.exit)
        bounced = _sides(entries, lambda kind: kind.bounced)
        # Without an entry everybody is such a block: that no rate is defined would tell of a suppressed 0.
        told_less = whose(one for one in alike if not one.kind.bounced and (one.kind.exit or not entries))
        scrolled = [one for one in alike if one.kind.scrolled]
        depth = math.fsum(views["scroll"][~np.isnan(views["scroll"])].tolist())
        loads = by(views["subject"], views["load_bin"])
        return {
            "views": Count(number, subjects=viewers),
            "subjects": Distinct(viewers),
            "share": Figure(round(number / self.of, 4) if self.of else None, viewers),
            "entries": PartCount(entered.number, inside=entered.inside, outside=entered.outside),
            "exits": PartCount(left.number, inside=left.inside, outside=left.outside),
            "exit_rate": Share(left.number, number, inside=left.inside, outside=left.outside),
            "bounce_rate": Share(
                bounced.number, entered.number, told_less, inside=bounced.inside, outside=bounced.outside
            ),
            **_dwell(views, alike),
            "scroll_depth_mean": Mean(depth, _number(scrolled), subjects=whose(scrolled)),
            "interactions_per_view": Mean(len(self.touches), number, subjects=self.touching),
            **quantiles(LOAD_MS, loads, {"load_p50_ms": 0.5, "load_p90_ms": 0.9}, WALLS),
        }


def elements(heat: Heat) -> Mapping[Value, Tallied]:
    return {
        heat.elements[element]: Tallied("interactions", len(touches), bitmap(touches["subject"]))
        for element, touches in split_by(heat.touches, heat.touches["element"]).items()
    }


def load_bands(heat: Heat) -> Mapping[Value, Band]:
    bands = _BANDS[heat.views["load_bin"]]
    found = by(heat.views["subject"], 2 * bands + 1 + heat.views["exit"])
    sides = {n: Tallied("views", *some) for n, some in found.items()}
    nobody = Tallied("views", 0, BitMap64())
    return {
        name: Band(sides.get(2 * n + 2, nobody), sides.get(2 * n + 1, nobody))
        for n, name in enumerate(_NAMES)
        if sides.keys() & {2 * n + 1, 2 * n + 2}
    }


DETAILS = (
    Detail("elements", "element", ("interactions_per_view",), elements),
    Detail("load_bands", "band", ("views", "exit_rate"), load_bands),
)


def split_by(records: Records, numbers: Numbers) -> dict[int, Records]:
    """By number, those of each in their order."""
    if not len(numbers):
        return {}
    lowest, highest = int(numbers.min()), int(numbers.max())
    # Small numbers are sorted by counting.
    order = np.argsort((numbers - lowest).astype(np.min_scalar_type(highest - lowest)), kind="stable")
    ordered = numbers[order]
    begins = np.flatnonzero(np.diff(ordered, prepend=lowest - 1))
    return dict(zip(ordered[begins].tolist(), np.split(records.take(order), begins[1:]), strict=True))


def _one(parts: Sequence[Records]) -> Records:
    return parts[0] if len(parts) == 1 else np.concatenate(parts)


def _alike(views: Records) -> list[Alike]:
    flags = (views["entry"], views["exit"], views["bounced"], ~np.isnan(views["scroll"]))
    codes = sum((flag.astype(np.int8) << n for n, flag in enumerate(flags)), start=1 + 16 * views["source"])
    return [Alike(_kind(code - 1), *some) for code, some in by(views["subject"], codes).items()]


def _kind(code: int) -> Kind:
    entry, exit_, bounced, scrolled = (bool(code >> n & 1) for n in range(4))
    return Kind(entry, exit_, bounced, scrolled, code >> 4)


def _number(some: Iterable[Alike]) -> int:
    return sum(one.number for one in some)


def _sides(some: Iterable[Alike], flag: Callable[[Kind], bool]) -> Sides:
    inside: list[Alike] = []
    outside: list[Alike] = []
    for one in some:
        (inside if flag(one.kind) else outside).append(one)
    return Sides(_number(inside), whose(inside), whose(outside))


def _dwell(views: Records, alike: Sequence[Alike]) -> dict[str, Figure]:
    by_source = {source: [one for one in alike if one.kind.source == source] for source in (CLIENT, GAP, 0)}
    # Exits are told too, and those that are unknown are among them: what is unknown and no exit is a block by itself.
    sides = [_sides(some, lambda kind: kind.exit) for some in by_source.values()]
    rests = [subjects for side in sides for subjects in (side.inside, side.outside)]
    figures: dict[str, Figure] = {}
    for source, name in ((CLIENT, "dwell_client"), (GAP, "dwell_gap")):
        some, known = by_source[source], views["source"] == source
        total = int(views["dwell"][known].sum()) / _MICROSECONDS
        filled = by(views["subject"], np.where(known, views["dwell_bin"], 0))
        figures[f"{name}_known"] = Known(_number(some), *rests)
        figures[f"{name}_mean_s"] = Mean(total, _number(some), subjects=whose(some))
        figures |= quantiles(DWELL_S, filled, {f"{name}_median_s": 0.5, f"{name}_p90_s": 0.9})
    return figures
