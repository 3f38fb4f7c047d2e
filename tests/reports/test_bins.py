"""Quantiles from public bins: each bin holds k subjects, and the true quantile lies in the one that is told."""

import bisect
import math
from datetime import UTC, datetime, timedelta
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st
from pyroaring import BitMap64

from reports.privacy.bins import Filled, merged, quantiles, walled
from reports.privacy.figures import (
    Figures,
    Period,
    Row,
    opened,
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
    counts = quantiles(EDGES, filled(values), {"value": q})
    row = Row(DAY, {}, counts)
    (cells,) = [row.cells for row in release(Figures({"data": [row]}), k=k, as_of=CLOSED).tables["data"]]
    return cells["value"].value, cells["value_bin"].value


def test_a_quantile_by_hand() -> None:
    values = [(n, n + 0.5) for n in range(10)]  # bins: 0-1, 1-2, 2-3 one each, 3-5 two, 5-10 five
    assert quantile(values, 0.5, 1) == (4, (3, 5)), "the fifth of ten is the last of its bin"
    assert quantile(values, 0.9, 1) == (7.5, (5, 10)), "the middle, wherever in the bin the ninth is"
    assert quantile(values, 0.5, 5) == (2.5, (0, 5))
    assert quantile(values, 0.9, 7) == (0, (0, None)), "seven are in 3 and above, and the three below join them"
    assert quantile(values, 0.5, 11) == (None, None)
    assert quantile([], 0.5, 1) == (None, None)


def test_the_same_values_are_told_by_another_k_at_another_time() -> None:
    counts = quantiles(EDGES, filled([(n, n + 0.5) for n in range(10)]), {"value": 0.5})
    assert [opened(counts["value_bin"], k)[0] for k in (1, 5, 1)] == [(3, 5), (0, 5), (3, 5)]


def test_the_highest_value_is_not_told() -> None:
    values = [(n, 2.5) for n in range(20)] + [(99, 60.0)]
    assert quantile(values, 0.9, 10) == (2, (2, None))
    assert quantile(values, 0.9, 1) == (2.5, (2, 3))


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


def test_no_bin_across_a_wall_tells_of_one_person() -> None:
    """10 below 3, one in 3-5, 10 above: the bin 1-5 has the median, so one at least of the 11 above 3 is in it; and
    since 5 and above hold 10, one at most."""
    values = [(n, 1.5) for n in range(10)] + [(10, 4.0)] + [(n, 7.0) for n in range(11, 21)]
    assert [one[:3] for one in merged(EDGES, filled(values), 10)] == [(1, 5, 11), (5, 10, 10)]
    assert [one[:3] for one in walled(EDGES, [0, 3], filled(values), 10)] == [(1, 2, 10), (3, 10, 11)]


@ANY
@given(VALUES, st.integers(2, 12), st.sampled_from([[0], [0, 3], [0, 2, 5, 20], [0, 1, 10, 50]]))
def test_what_a_bin_and_a_band_share_is_a_whole_band_or_holds_k(
    values: list[tuple[int, float]], k: int, walls: list[float]
) -> None:
    bins = walled(EDGES, walls, filled(values), k)
    assert sum(one.number for one in bins) == (len(values) if len({subject for subject, _ in values}) >= k else 0)
    for low, high in zip(walls, [*walls[1:], math.inf], strict=True):
        of_band = [(subject, value) for subject, value in values if low <= value < high]
        for one in bins:
            shared = [(s, value) for s, value in of_band if one.low <= value < (one.high or math.inf)]
            assert shared in ([], of_band) or len({subject for subject, _ in shared}) >= k


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
    assert told_value == (low if high is None else (low + high) / 2), "not the rank within the bin"
