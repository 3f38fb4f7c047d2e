"""Values by days: whatever sum or difference of what is told leaves, it is k people or nobody."""

from itertools import product

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pyroaring import BitMap64

from reports.privacy import grid
from reports.privacy.grid import cutting

K = 3
Grid = list[dict[str | None, BitMap64]]
CELL = st.sets(st.integers(0, 9), max_size=5).map(BitMap64)
GRIDS = st.lists(st.dictionaries(st.sampled_from([None, "a", "b", "c"]), CELL, max_size=4), min_size=1, max_size=4)


def small_cuts(days: Grid, told: list[str | None]) -> list[tuple[tuple[int, ...], tuple[int, ...]]]:
    """Ways to add up days and take told values away that leave fewer than k: 0 for what is not used, 1 for what is."""
    known = [len(BitMap64().union(*cells.values())) >= K for cells in days]
    found = []
    for of_days in product((0, 1), repeat=len(days)):
        for of_values in product((0, 1), repeat=len(told)):
            used = dict(zip(told, of_values, strict=True))
            left = BitMap64().union(
                *(
                    whose
                    for day, is_known, cells in zip(of_days, known, days, strict=True)
                    for value, whose in cells.items()
                    if day * is_known != used.get(value, 0)
                )
            )
            if 0 < len(left) < K:
                found.append((of_days, of_values))
    return found


def attack(examples: int = 400) -> None:
    @settings(max_examples=examples, deadline=None, database=None, derandomize=True)
    @given(GRIDS)
    def held(days: Grid) -> None:
        wanted = sorted({value for cells in days for value in cells}, key=str)
        hidden = cutting(days, wanted, K)
        assert small_cuts(days, [value for value in wanted if value not in hidden]) == []

    held()


def test_what_is_told_leaves_k_or_nobody() -> None:
    attack()


@pytest.mark.parametrize(
    ("name", "without"),
    [
        ("cutting", lambda days, wanted, k: set()),
        (
            "cutting",
            lambda days, wanted, k: {
                value
                for value in wanted
                if 0 < len(BitMap64().union(*(cells.get(value, BitMap64()) for cells in days))) < k
            },
        ),
    ],
)
def test_without_it_or_with_each_value_by_itself_it_would_not(
    monkeypatch: pytest.MonkeyPatch, name: str, without: object
) -> None:
    monkeypatch.setitem(globals(), name, without)
    with pytest.raises(AssertionError):
        attack(3000)
    assert grid.cutting is not without


def test_what_is_hidden_well_is_told() -> None:
    many, few = BitMap64(range(10)), BitMap64([1])
    assert cutting([{"a": many, "b": many}], ["a"], K) == set(), "b and a are many each"
    assert cutting([{"a": many, "b": few}], ["a"], K) == {"a"}, "the day less a would be b"
    assert cutting([{"a": many, "b": few}] * 4, ["a"], K) == {"a"}, "it is the same one"
    one_each: Grid = [{"a": many, "b": BitMap64([n])} for n in range(4)]
    assert cutting(one_each, ["a"], K) == set(), "only the four days together less a are b"
    alone: Grid = [{"a": BitMap64([n])} for n in range(K)]
    assert cutting(alone, ["a"], K) == set(), "of days that are not known only the sum is"
    assert cutting([], ["a"], K) == set()
