"""The fixed public bins and bands of measured values: the same for every mini-program, whatever its data.

Edges, in seconds or milliseconds: [edge, next edge) is a bin, and what lies beyond either end counts in the last bin there.
"""

from bisect import bisect_right
from collections.abc import Sequence
from decimal import Decimal
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

DWELL_S = (0, 1, 2, 3, 5, 7, 10, 15, 20, 30, 45, 60, 90, 120, 180, 300, 450, 600, 900, 1200, 1800, 3600, 14_400, 86_401)
"""Dwell: 30:00, the longest gap that is one, lies in [1800, 3600); the last edge is just beyond what a client may send."""

TO_CONVERT_S = (0, 1, 2, 3, 5, 7, 10, 15, 20, 30, 45, 60, 90, 120, 180, 300, 450, 600, 900, 1200, 1800, 2700, 3600, 5400, 7200,
                10_800, 14_400, 21_600, 28_800, 43_200, 64_800, 86_400, 129_600, 172_800, 259_200, 345_600, 432_000, 604_800,
                864_000, 1_209_600, 1_814_400, 2_592_001)  # fmt: skip
"""From one event to another; the last edge is just beyond 30 days, the longest window."""

LOAD_MS = (0, 50, 100, 150, 200, 300, 400, 500, 600, 800, 1000, 1250, 1500, 2000, 2500, 3000, 4000, 5000, 7500, 10_000,
           15_000, 30_000, 60_000)  # fmt: skip

_UP = [Decimal(step) * Decimal(10) ** power for power in range(-2, 9)
       for step in ("1", "1.25", "1.6", "2", "2.5", "3.2", "4", "5", "6.3", "8")]  # fmt: skip
_POSITIVE = [*_UP, Decimal(10) ** 9]
NUMBERS = tuple(float(edge) for edge in (*(-edge for edge in reversed(_POSITIVE)), Decimal(0), *_POSITIVE))
"""Any number: ten bins a decade (the Renard series R10, rounded) from 0.01 to 10⁹, and the same below 0."""

Bands = Sequence[tuple[int, str]]
"""Lower edges, ascending, and names."""

LOAD_BANDS: Bands = (
    (0, "0-500"),
    (500, "500-1000"),
    (1000, "1000-2000"),
    (2000, "2000-3000"),
    (3000, "3000-5000"),
    (5000, "5000+"),
)
"""Milliseconds; a value at an edge lies in the upper band. Their edges are edges of LOAD_MS."""

STAY_BANDS: Bands = (
    (0, "0-2"),
    (3, "3-5"),
    (6, "6-10"),
    (11, "11-20"),
    (21, "21-30"),
    (31, "31-60"),
    (61, "61-180"),
    (181, "181-600"),
    (601, "601-1800"),
    (1801, "1801+"),
)
"""Whole seconds."""

DEPTH_BANDS: Bands = (
    (0, "0"),
    (1, "1"),
    (2, "2"),
    (3, "3"),
    (4, "4"),
    (5, "5"),
    (6, "6-10"),
    (11, "11-20"),
    (21, "21+"),
)
"""Views."""

COUNT_BANDS: Bands = (
    *((number, str(number)) for number in range(1, 11)),
    (11, "11-20"),
    (21, "21-50"),
    (51, "51-100"),
    (101, "101+"),
)
"""Events of a subject."""

_SUMS = (0, 1, 10, 20, 50, 100, 200, 500, 1000, 2000, 5000, 10_000, 100_000, 1_000_000)
SUM_BANDS: Bands = (
    *((low, f"{low}-{high}") for low, high in pairwise(_SUMS)),
    (_SUMS[-1], f"{_SUMS[-1]}+"),
)
"""A number added up over the events of a subject: from the lower edge to just below the upper one."""


def band(bands: Bands, value: float) -> str:
    """The name of the band that a value lies in; of the first, where it lies below all."""
    return bands[max(bisect_right([edge for edge, _ in bands], value), 1) - 1][1]


def places(bands: Bands, values: NDArray[Any]) -> NDArray[np.intp]:
    """The same of an array, as places in `bands`."""
    return np.maximum(np.searchsorted([edge for edge, _ in bands], values, side="right"), 1) - 1


def bin_of(value: str, edges: str) -> str:
    """SQL: the number of the bin, from 1, of a numeric expression; `edges` names the parameter."""
    known = f"%({edges})s::numeric[]"
    bucket = f"least(greatest(width_bucket({value}, {known}), 1), cardinality({known}) - 1)"
    return f"CASE WHEN {value} IS NOT NULL THEN {bucket} END"


def bins(values: NDArray[Any], edges: NDArray[Any]) -> NDArray[np.intp]:
    """The same of an array; `edges` in the unit of the values."""
    return np.clip(np.searchsorted(edges, values, side="right"), 1, len(edges) - 1)


def number_of(name: str) -> str:
    """SQL: a property of the event `e` as numeric, NULL where it is no number; `name` is a constant or a parameter."""
    return f"CASE WHEN jsonb_typeof(e.properties -> {name}) = 'number' THEN (e.properties ->> {name})::numeric END"
