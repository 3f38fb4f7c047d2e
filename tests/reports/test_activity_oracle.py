"""activity equals the slow count on any history, in any zone, and a day's figures do not depend on the range asked."""

from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.reports import oracle
from tests.reports.events import History, Seen

ZONES = {
    "Asia/Shanghai": datetime(2025, 3, 1, tzinfo=UTC),
    "Asia/Tehran": datetime(2025, 3, 1, tzinfo=UTC),
    "America/New_York": datetime(2025, 3, 9, tzinfo=UTC),  # both days of the switch
    "America/Santiago": datetime(2025, 4, 6, tzinfo=UTC),
    "Australia/Lord_Howe": datetime(2025, 4, 6, tzinfo=UTC),
}
AUTUMN = datetime(2025, 11, 2, tzinfo=UTC)
SHAPES = settings(
    deadline=None,
    database=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)


def drawing(examples: int) -> pytest.MarkDecorator:
    """As many histories in the long run, and a third of them otherwise."""
    return pytest.mark.parametrize("examples", [examples // 3, pytest.param(examples, marks=pytest.mark.longest)])


@st.composite
def bursts(draw: st.DrawFn, around: datetime) -> list[Seen]:
    """A subject's events one after the other, with pauses at and beside the limits."""
    subject = draw(st.sampled_from(["ann", "bob", "cem"]))
    session = draw(st.sampled_from([None, None, "one", "two"]))
    at = around + timedelta(minutes=draw(st.integers(-4 * 1440, 3 * 1440)))
    pauses = st.sampled_from([0, 1, 29 * 60, 1800, 1801, 3600, 6 * 3600, 86_399, 86_400, 86_401])
    skews = st.sampled_from([0, 0, 0, 3600, -3600, 86_400, -86_400])
    seen = [Seen(subject, at, session, timedelta(seconds=draw(skews)))]
    for pause in draw(st.lists(pauses, max_size=8)):
        at += timedelta(seconds=pause)
        seen.append(Seen(subject, at, session, timedelta(seconds=draw(skews))))
    return seen


@st.composite
def marathons(draw: st.DrawFn, around: datetime) -> list[Seen]:
    """A run without a pause, for up to five days."""
    begins = around + timedelta(minutes=draw(st.integers(-4 * 1440, 0)))
    every, session = draw(st.sampled_from([(30, None), (29, None), (720, "one"), (1440, "one"), (500, "two")]))
    length = draw(st.integers(1, 5 * 1440 // every))
    return [Seen("ann", begins + timedelta(minutes=every * n), session) for n in range(length)]


def histories(around: datetime) -> st.SearchStrategy[list[Seen]]:
    pieces = st.lists(st.one_of(bursts(around), bursts(around), marathons(around)), max_size=6)
    return pieces.map(lambda some: [seen for piece in some for seen in piece])


def reported(history: History, first: date, last: date) -> dict[str, Any]:
    released = history.ask(first.isoformat(), last.isoformat())
    return {
        name: {next(iter(row.keys.values())): {k: cell.value for k, cell in row.cells.items()} for row in rows}
        for name, rows in released.tables.items()
    }


@drawing(100)
@pytest.mark.parametrize(("zone", "around"), [*ZONES.items(), ("America/New_York", AUTUMN)])
def test_any_history(history: Callable[..., History], zone: str, around: datetime, examples: int) -> None:
    there = history(zone)

    @settings(SHAPES, max_examples=examples)
    @given(data=st.data())
    def compared(data: st.DataObject) -> None:
        seen = data.draw(histories(around))
        first = around.date() + timedelta(days=data.draw(st.integers(-5, 3)))
        last = first + timedelta(days=data.draw(st.integers(0, 9)))
        there.clear()
        there.add_all(seen)
        assert reported(there, first, last) == oracle.activity(seen, zone, first, last)

    compared()


def test_a_figure_is_the_same_in_every_range(history: Callable[..., History]) -> None:
    there, around = history("America/New_York"), AUTUMN

    @settings(SHAPES, max_examples=15)
    @given(seen=histories(around))
    def compared(seen: list[Seen]) -> None:
        there.clear()
        there.add_all(seen)
        first = around.date() - timedelta(days=4)
        whole = reported(there, first, first + timedelta(days=9))
        for offset in range(10):
            day = first + timedelta(days=offset)
            alone = reported(there, day, day)
            for table, rows in alone.items():
                for key, row in rows.items():
                    assert whole[table][key] == row

    compared()
