"""An attack on `pages`: columns of one row, one of which counts a part of the other, subtracted from each other."""

from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple

import numpy as np
import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st
from pyroaring import BitMap64

from reports.metrics import heat
from reports.metrics.heat import CLIENT, DETAILS, GAP, TOUCH, VIEW, Heat
from reports.privacy.dimensions import ReleasedRow
from reports.privacy.figures import Dimension, Figures, Known, Period, Share
from reports.privacy.threshold import release

DAY = Period(datetime(2025, 10, 4, 16, tzinfo=UTC), datetime(2025, 10, 5, 16, tzinfo=UTC))
CLOSED = DAY.ends + timedelta(hours=48)
PAGE = "home"


class Views(NamedTuple):
    """Of one subject, one view."""

    entry: bool
    exit: bool
    bounced: bool
    source: int
    load_bin: int
    subjects: BitMap64


def view(subject: int, kind: tuple[bool, bool, bool], source: int, load_bin: int) -> Views:
    return Views(*kind, 0 if kind[1] and source == GAP else source, load_bin, BitMap64([subject]))


def heat_of(views: list[Views]) -> Heat:
    rows = [(0, one.subjects[0], 2_000_000, np.nan, *one[:4], 3 if one.source else 0, one.load_bin) for one in views]
    return Heat((np.array(rows, VIEW),), (np.zeros(0, TOUCH),), (), len(views))


KINDS = [(True, True, True), (True, True, False), (True, False, False), (False, True, False), (False, False, False)]
VIEWS = st.lists(
    st.builds(
        view,
        st.integers(0, 15),
        st.sampled_from(KINDS),
        st.sampled_from([0, GAP, GAP, CLIENT]),
        st.sampled_from([0, 1, 9, 9]),
    ),
    max_size=60,
)


def whose(views: list[Views], wanted: Callable[[Views], bool]) -> int:
    return len(BitMap64().union(*(one.subjects for one in views if wanted(one))))


def differences(views: list[Views], k: int) -> Iterator[tuple[str, int]]:
    """(what is subtracted, how many people the difference is about), for each that can be worked out."""
    dimension = Dimension(DAY, "page", {PAGE: heat_of(views)}, details=DETAILS)
    tables = release(Figures({"data": [dimension], "load_bands": []}), k=k, as_of=CLOSED).tables
    rows = [row for row in tables["data"] if row.keys["page"] == PAGE]
    told = {name for row in rows for name, cell in row.cells.items() if cell.value is not None}
    none_from_client = any(row.cells["dwell_client_known"].value == 0 for row in rows)
    possible: dict[str, tuple[set[str], Callable[[Views], bool]]] = {
        "views - entries": ({"views", "entries"}, lambda one: not one.entry),
        "views - exits": ({"views", "exits"}, lambda one: not one.exit),
        "entries - bounces": ({"entries", "bounce_rate"}, lambda one: one.entry and not one.bounced),
        "exits - bounces": ({"exits", "entries", "bounce_rate"}, lambda one: one.exit and not one.bounced),
        "views - known": ({"views", "dwell_client_known", "dwell_gap_known"}, lambda one: not one.source),
    }
    if none_from_client:
        needs = {"views", "exits", "dwell_gap_known"}
        possible["views - exits - known"] = needs, lambda one: not one.source and not one.exit
    for name, (needs, wanted) in possible.items():
        if needs <= told:
            yield name, whose(views, wanted)
    yield from of_bands(views, list(tables["load_bands"]), told)


def of_bands(views: list[Views], bands: list[ReleasedRow], told: set[str]) -> Iterator[tuple[str, int]]:
    """What the told load bands leave of the page's views and exits."""
    named = {band for row in bands if not row.keys["band_other"] for band in [row.keys["band"]]}

    def left(column: str) -> Callable[[Views], bool]:
        here = {
            "other" if row.keys["band_other"] else row.keys["band"] for row in bands if row.cells[column].value is not None
        }  # fmt: skip
        return lambda one: (band_of(one) if band_of(one) in named else "other") not in here

    if bands and "views" in told:
        yield "views - bands", whose(views, left("views"))
    if bands and "exits" in told:
        outside = left("exit_rate")
        yield "exits - bands", whose(views, lambda one: one.exit and outside(one))


def band_of(one: Views) -> Any:
    (name,) = heat.load_bands(heat_of([one]))
    return name


def attack(examples: int = 300, *, derandomize: bool = False) -> None:
    @settings(max_examples=examples, deadline=None, database=None, derandomize=derandomize, phases=[Phase.generate])
    @given(VIEWS, st.integers(2, 4))
    def subtracted(views: list[Views], k: int) -> None:
        assert [(name, people) for name, people in differences(views, k) if 0 < people < k] == []

    subtracted()


def test_no_column_less_another_tells_of_few() -> None:
    attack()


def share_without_further(part: int, whole: int, *further: Any, inside: Any, outside: Any) -> Share:
    return Share(part, whole, inside=inside, outside=outside)


def known_without_exits(number: float | None, *rests: Any) -> Known:
    """Blocks of the same source put together again."""
    return Known(number, *(rests[n] | rests[n + 1] for n in range(0, len(rests), 2)))


@pytest.mark.parametrize(("defence", "without"), [("Share", share_without_further), ("Known", known_without_exits)])
def test_without_the_defences_one_would(monkeypatch: pytest.MonkeyPatch, defence: str, without: Any) -> None:
    monkeypatch.setattr(heat, defence, without)
    with pytest.raises(AssertionError):
        attack(3000, derandomize=True)
