"""Quantiles from public bins: each bin holds k subjects, and the true quantile lies in the one that is told."""

import bisect
import math
from datetime import UTC, datetime, timedelta
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st
from pyroaring import BitMap64

from reports.privacy.bins import Filled, merged, quantiles
from reports.privacy.figures import (
    Figures,
    Period,
    Row,
)
from reports.privacy.threshold import release

DAY = Period(datetime(2025, 10, 4, 16, tzinfo=UTC), datetime(2025, 10, 5, 16, tzinfo=UTC))
CLOSED = DAY.ends + timedelta(hours=48)
ANY = settings(max_examples=150, deadline=None, database=None)
EDGES = [0, 1, 2, 3, 5, 10, 20, 50, 100]
VALUES = st.lists(st.tuples(st.integers(0, 30), st.floats(0, 150)), min_size=1, max_size=150)


def filled(values: list[tuple[int, float]]) -> Filled:
    bins: dict[int, list[int]] = {}
    for subject, value in values:
        bins.setdefault(min(bisect.bisect_right(EDGES, value), len(EDGES) - 1), []).append(subject)
    return {place: (len(subjects), BitMap64(subjects)) for place, subjects in bins.items()}


def quantile(values: list[tuple[int, float]], q: float, k: int) -> tuple[Any, Any]:
    counts = quantiles(EDGES, filled(values), value=q)
    row = Row(DAY, {}, counts)
    (cells,) = [row.cells for row in release(Figures({"data": [row]}), k=k, as_of=CLOSED).tables["data"]]
    return cells["value"].value, cells["value_bin"].value


def test_a_quantile_by_hand() -> None:
    values = [(n, n + 0.5) for n in range(10)]  # bins: 0-1, 1-2, 2-3 one each, 3-5 two, 5-10 five
    assert quantile(values, 0.5, 1) == (5, (3, 5)), "the fifth of ten is the last of its bin"
    assert quantile(values, 0.9, 1) == (9, (5, 10)), "four fifths of the way from 5 to 10"
    assert quantile(values, 0.5, 5) == (5, (0, 5))
    assert quantile(values, 0.9, 7) == (0, (0, None)), "seven are in 3 and above, and the three below join them"
    assert quantile(values, 0.5, 11) == (None, None)
    assert quantile([], 0.5, 1) == (None, None)


def test_the_highest_value_is_not_told() -> None:
    values = [(n, 2.5) for n in range(20)] + [(99, 60.0)]
    assert quantile(values, 0.9, 10) == (2, (2, None))
    assert quantile(values, 0.9, 1) == (2.945, (2, 3))


def test_the_last_bin_is_open() -> None:
    assert quantile([(n, 500.0) for n in range(12)], 0.5, 10) == (50, (50, None)), "500 lies beyond the last edge"


@ANY
@given(VALUES, st.integers(1, 12))
def test_every_bin_has_k_and_nothing_is_lost(values: list[tuple[int, float]], k: int) -> None:
    bins = merged(EDGES, filled(values), k)
    if len({subject for subject, _ in values}) < k:
        assert bins == []
        return
    assert sum(one.number for one in bins) == len(values)
    above = -1.0
    for one in bins:
        inside = [s for s, value in values if one.low <= value < (math.inf if one.high is None else one.high)]
        assert (len(inside), len(set(inside))) == (one.number, len(one.subjects))
        assert len(one.subjects) >= k and one.low >= above
        above = math.inf if one.high is None else one.high


@ANY
@given(VALUES, st.integers(1, 12), st.sampled_from([0.1, 0.5, 0.9]))
def test_the_true_quantile_lies_in_the_bin_that_is_told(values: list[tuple[int, float]], k: int, q: float) -> None:
    told_value, told_bin = quantile(values, q, k)
    if told_bin is None:
        assert len({subject for subject, _ in values}) < k
        return
    true = sorted(value for _, value in values)[math.ceil(round(q * len(values), 9)) - 1]
    low, high = told_bin
    assert low <= true < (math.inf if high is None else high)
    assert low <= told_value <= (low if high is None else high)
