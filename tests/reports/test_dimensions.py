"""The gate of tables by value: merging rows, suppressing what would be told by difference."""

import json
import pickle
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Self

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pyroaring import BitMap64

from reports.privacy import dimensions
from reports.privacy.cells import Status
from reports.privacy.dimensions import Part, ReleasedRow, merged_parts
from reports.privacy.figures import (
    Count,
    Detail,
    Dimension,
    Distinct,
    Figure,
    Figures,
    Known,
    Mean,
    PartCount,
    Period,
    PerSubject,
    Share,
    Value,
)
from reports.privacy.threshold import Released, release

DAY = Period(datetime(2025, 10, 4, 16, tzinfo=UTC), datetime(2025, 10, 5, 16, tzinfo=UTC))
CLOSED = DAY.ends + timedelta(hours=48)
OPEN = CLOSED - timedelta(microseconds=1)


@dataclass(frozen=True)
class Happened:
    """Something a subject did, of a value; `part`: it is among those that a part count counts."""

    subject: int
    value: Value
    part: bool = False
    element: Value = None


@dataclass(frozen=True)
class Tallied:
    """A tally that keeps everything, to be looked into by the tests."""

    happened: tuple[Happened, ...]

    @property
    def subjects(self) -> BitMap64:
        return whose(self.happened)

    def __add__(self, other: Self) -> "Tallied":
        return Tallied(self.happened + other.happened)

    def figures(self) -> Mapping[str, Figure]:
        inside = [one for one in self.happened if one.part]
        outside = [one for one in self.happened if not one.part]
        parts, subjects = (whose(inside), whose(outside)), self.subjects
        return {
            "events": Count(len(self.happened), subjects=subjects),
            "subjects": Distinct(subjects),
            "per_subject": PerSubject(len(self.happened), subjects),
            "part": PartCount(len(inside), inside=parts[0], outside=parts[1]),
            "rate": Share(len(inside), len(self.happened), inside=parts[0], outside=parts[1]),
            "known": Known(len(inside), *parts),
            "mean": Mean(len(inside), len(self.happened), subjects=parts[0]),
        }


ADDITIVE = ("events", "part", "known")


def whose(happened: Any) -> BitMap64:
    return BitMap64({one.subject for one in happened})


def crowd(first: int, last: int, value: Value, *, part: bool = False, element: Value = None) -> list[Happened]:
    return [Happened(n, value, part, element) for n in range(first, last)]


def by(happened: Any, name: str = "value") -> dict[Value, Tallied]:
    values = {getattr(one, name) for one in happened}
    return {value: Tallied(tuple(one for one in happened if getattr(one, name) == value)) for value in values}


def elements(tally: Tallied) -> dict[Value, Tallied]:
    return by(tally.happened, "element")


def told(happened: list[Happened], k: int = 10, as_of: datetime = CLOSED, **more: Any) -> Released:
    dimension = Dimension(DAY, "page", by(happened), **more)
    totals = {name: (DAY, figure) for name, figure in Tallied(tuple(happened)).figures().items()}
    return release(Figures({"data": [dimension]}, totals, summed="data"), k=k, as_of=as_of)


def table(released: Released, *names: str, name: str = "data") -> dict[str, Any]:
    return {key(row): tuple(row.cells[one].value for one in names) for row in released.tables[name]}


def key(row: ReleasedRow, name: str = "page") -> str:
    return "other" if row.keys[f"{name}_other"] else str(row.keys[name])


# --- Rows ---


def test_small_rows_merge_before_anything_is_summed() -> None:
    released = told(crowd(0, 30, "a") + crowd(0, 6, "b") + crowd(4, 12, "c") + crowd(0, 20, None))
    assert table(released, "events", "subjects") == {"None": (20, 20), "a": (30, 30), "other": (14, 12)}
    assert released.totals["events"].value == 64


def test_other_takes_in_the_smallest_row() -> None:
    released = told(crowd(0, 30, "a") + crowd(0, 12, "b") + crowd(0, 3, "c"))
    assert table(released, "events", "subjects") == {"a": (30, 30), "other": (15, 12)}


def test_other_counts_a_subject_once_when_it_asks_for_k() -> None:
    small = [one for n in range(20) for one in crowd(0, 9, f"small {n}")]
    assert table(told(crowd(0, 40, "a") + crowd(20, 40, "b") + small), "subjects") == {"a": (40,), "other": (29,)}


def test_a_table_below_k_is_one_row_and_suppressed() -> None:
    released = told(crowd(0, 5, "a") + crowd(5, 9, "b"))
    assert table(released, "events", "subjects") == {"other": (None, None)}
    assert released.totals["events"].status is Status.SUPPRESSED
    assert told([]).tables["data"] == []


def test_a_period_that_is_not_closed_is_a_total() -> None:
    happened = crowd(0, 30, "a") + crowd(0, 20, "b")
    assert table(told(happened, as_of=OPEN), "events") == {"other": (50,)}
    assert table(told(happened, as_of=OPEN, k=1), "events") == {"a": (30,), "b": (20,)}


def test_a_sandbox_is_told_every_value() -> None:
    assert table(told(crowd(0, 1, "a") + crowd(0, 2, "b"), k=1), "events") == {"a": (1,), "b": (2,)}


# --- Columns ---


def test_a_part_below_k_is_suppressed_and_so_is_the_next() -> None:
    """Three parts of b could be told from the total of the column; those of the next smallest hide them."""
    happened = crowd(0, 50, "a", part=True) + crowd(0, 50, "a")
    happened += crowd(0, 3, "b", part=True) + crowd(0, 40, "b") + crowd(0, 30, "c", part=True) + crowd(0, 30, "c")
    released = told(happened)
    assert table(released, "part", "rate") == {"a": (50, 0.5), "b": (None, None), "c": (None, None)}
    assert released.totals["part"].value == 83
    assert table(released, "events") == {"a": (100,), "b": (43,), "c": (60,)}


def test_everybody_is_no_part_and_nobody_is_a_known_number() -> None:
    released = told(crowd(0, 30, "a", part=True) + crowd(0, 30, "b"))
    assert table(released, "part", "rate", "known") == {"a": (None, None, 30), "b": (None, None, 0)}


def test_a_total_of_subjects_less_a_row_has_k_or_nobody() -> None:
    assert told(crowd(0, 95, "a") + crowd(80, 100, "b")).totals["subjects"].status is Status.SUPPRESSED
    assert told(crowd(0, 90, "a") + crowd(80, 100, "b")).totals["subjects"].value == 100
    assert told(crowd(0, 100, "a") + crowd(80, 100, "b")).totals["subjects"].value == 100


def test_details_are_told_where_their_row_is() -> None:
    happened = (
        crowd(0, 30, "a", part=True, element="x") + crowd(0, 33, "a", element="y") + crowd(0, 3, "a", element="z")
    )
    happened += crowd(0, 3, "b", part=True, element="x") + crowd(0, 40, "b", element="x")
    happened += crowd(0, 20, "c", part=True, element="x") + crowd(0, 20, "c", element="x")
    details = [Detail("elements", "element", ("part",), elements)]
    released = told(happened, details=details)
    rows = [(key(row), key(row, "element"), row.cells["events"].value) for row in released.tables["elements"]]
    assert rows == [("a", "y", 33), ("a", "other", 33)], "z takes in x; the parts of b and c are not told"


# --- What holds of any table ---

HAPPENED = st.lists(
    st.builds(
        Happened,
        st.integers(0, 25),
        st.sampled_from([None, "a", "a", "b", "c", "d", "e"]),
        st.booleans(),
        st.sampled_from([None, "x", "y"]),
    ),
    max_size=120,
)
ANY = settings(max_examples=150, deadline=None, database=None)


def found(happened: list[Happened], rows: list[ReleasedRow]) -> dict[str, list[Happened]]:
    """Row's key -> what it stands for, worked out from the rows that have a name."""
    named = {row.keys["page"] for row in rows if not row.keys["page_other"]}
    return {
        key(row): [one for one in happened if (one.value not in named if row.keys["page_other"] else one.value == row.keys["page"])]
        for row in rows
    }  # fmt: skip


@ANY
@given(HAPPENED, st.integers(2, 6))
def test_no_told_cell_rests_on_fewer_than_k(happened: list[Happened], k: int) -> None:
    released = told(happened, k)
    parts = found(happened, list(released.tables["data"]))
    for row in released.tables["data"]:
        own = parts[key(row)]
        inside, outside = whose(one for one in own if one.part), whose(one for one in own if not one.part)
        blocks = {
            "events": [whose(own)],
            "subjects": [whose(own)],
            "per_subject": [whose(own)],
            "part": [inside, outside],
            "rate": [inside, outside],
        }
        for name, sets in blocks.items():
            if row.cells[name].status is Status.OK:
                assert min(map(len, sets)) >= k, name
        for name in ("known", "mean"):
            if row.cells[name].status is Status.OK:
                assert len(inside) == 0 or len(inside) >= k, name


@ANY
@given(HAPPENED, st.integers(2, 6))
def test_a_total_less_what_is_told_rests_on_k_or_nobody(happened: list[Happened], k: int) -> None:
    released = told(happened, k)
    parts = found(happened, list(released.tables["data"]))
    for name in ADDITIVE:
        if released.totals[name].status is not Status.OK:
            continue
        left = [one for row in released.tables["data"] if row.cells[name].value is None for one in parts[key(row)]]
        number = released.totals[name].value - sum(row.cells[name].value or 0 for row in released.tables["data"])
        resting = left if name == "events" else [one for one in left if one.part]
        assert number == len(resting)
        assert len(whose(resting)) == 0 or len(whose(resting)) >= k, name
        others = [one for one in left if not one.part]
        assert name != "part" or not others or len(whose(others)) >= k


@ANY
@given(HAPPENED, st.integers(2, 6))
def test_distinct_totals_less_a_row_rest_on_k_or_nobody(happened: list[Happened], k: int) -> None:
    released = told(happened, k)
    for own, row in zip(found(happened, list(released.tables["data"])).values(), released.tables["data"], strict=True):
        left = len(whose(happened) - whose(own))
        if row.cells["subjects"].value is not None and released.totals["subjects"].value is not None:
            assert left == 0 or left >= k


@ANY
@given(HAPPENED, st.integers(1, 6))
def test_merging_loses_nothing(happened: list[Happened], k: int) -> None:
    parts = merged_parts(by(happened), k, all_closed=True)
    assert Counter(one for part in parts for one in part.tally.happened) == Counter(happened)  # type: ignore[attr-defined]
    assert all(len(part.tally.subjects) >= k for part in parts) or len(parts) == 1


@ANY
@given(HAPPENED, st.integers(2, 6))
def test_details_add_up_to_their_row_and_rest_on_k(happened: list[Happened], k: int) -> None:
    released = told(happened, k, details=[Detail("elements", "element", ("events",), elements)])
    for row in released.tables["data"]:
        inner = [one for one in released.tables.get("elements", []) if key(one) == key(row)]
        if row.cells["events"].status is Status.OK:
            assert sum(one.cells["events"].value for one in inner) == row.cells["events"].value
        for one in inner:
            assert one.cells["subjects"].value >= k


@ANY
@given(HAPPENED, st.integers(2, 6), st.frozensets(st.sampled_from(["a", "b", "c", "nobody"]), min_size=1))
def test_a_filter_tells_what_the_rows_of_the_breakdown_tell(
    happened: list[Happened], k: int, only: frozenset[str]
) -> None:
    rows = {key(row): row for row in told(happened, k).tables["data"]}
    parts = {**by(happened), "nobody": Tallied(())}
    only |= {"nobody"}
    figures = Figures({"data": [Dimension(DAY, "page", parts, only=only)]})
    (row,) = release(figures, k=k, as_of=CLOSED).tables["data"]
    there = [value for value in only if value in by(happened)]
    hidden = any(value not in rows for value in there)
    assert row.cells["events"].value == (None if hidden else sum(rows[value].cells["events"].value for value in there))
    if row.cells["subjects"].value is not None:
        alone = [whose(one for one in happened if one.value == value) for value in there]
        for n, subjects in enumerate(alone):
            left = len(subjects - BitMap64().union(*alone[:n], *alone[n + 1 :])) if len(there) > 1 else 0
            assert left == 0 or left >= k


# --- Attacks, and that they succeed where the defence is taken out ---


def attacked(happened: list[Happened], column: str) -> list[float]:
    """What somebody who knows a column's total reads off the table: the one cell that is not told."""
    released = told(happened)
    missing = [row for row in released.tables["data"] if row.cells[column].value is None]
    if len(missing) != 1 or released.totals[column].value is None:
        return []
    return [released.totals[column].value - sum(row.cells[column].value or 0 for row in released.tables["data"])]


def unmerged(parts: Mapping[Value, Any], k: int, *, all_closed: bool) -> list[Part]:
    return [Part(value, False, tally) for value, tally in parts.items()]


SMALL_ROW = crowd(0, 40, "a") + crowd(0, 30, "b") + crowd(0, 3, "secret")
SMALL_PART = crowd(0, 50, "a", part=True) + crowd(0, 50, "a") + crowd(0, 3, "b", part=True) + crowd(0, 40, "b")


@pytest.mark.parametrize(("happened", "column"), [(SMALL_ROW, "events"), (SMALL_PART, "part")])
def test_a_difference_tells_nothing(happened: list[Happened], column: str) -> None:
    assert attacked(happened, column) == []


def test_without_the_defences_it_would(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dimensions, "_enough", lambda *args, **more: True)
    assert attacked(SMALL_PART, "part") == [3]
    monkeypatch.setattr(dimensions, "merged_parts", unmerged)
    assert attacked(SMALL_ROW, "events") == [3]


def test_a_filter_and_the_breakdown_tell_nothing_together() -> None:
    """b has 12 subjects, but hides the three of c in the breakdown: asked for alone, it is not told either."""
    happened = crowd(0, 40, "a") + crowd(0, 12, "b") + crowd(20, 23, "c")
    assert table(told(happened), "events") == {"a": (40,), "other": (15,)}
    figures = Figures({"data": [Dimension(DAY, "page", by(happened), only=frozenset({"b"}))]})
    assert release(figures, k=10, as_of=CLOSED).tables["data"][0].cells["events"].status is Status.SUPPRESSED


def test_a_dimension_has_no_form_outside_the_process() -> None:
    dimension = Dimension(DAY, "page", by(crowd(0, 4711, "a")))
    for serialise in (json.dumps, msgspec.json.encode, msgspec.to_builtins, pickle.dumps):
        with pytest.raises(TypeError):
            serialise(dimension)
    assert "4711" not in f"{dimension!r}{Figures({'data': [dimension]})}"
