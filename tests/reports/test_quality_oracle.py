"""quality equals the slow count on any history, in any zone; and no cell is told that fewer than k subjects are behind."""

from datetime import UTC, date, datetime, timedelta

import psycopg
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from reports.metrics.calendar import Interval
from tests.cast import make_program
from tests.reports import oracle_quality
from tests.reports.sent import Receipts, Sent, rows, totals
from tests.reports.test_activity_oracle import AUTUMN, SHAPES, ZONES, drawing

TYPES = ["page_view", "tap", "no_such"]
ANSWERS = ["accepted", "accepted", "accepted", "duplicate", "consent_missing", "invalid_property", "too_old", "busy"]
# At and beside the closing of a day, 48 h after it ends.
AGES = [0, 3600, 47 * 3600, 48 * 3600, 49 * 3600, 71 * 3600, 72 * 3600, 73 * 3600, 6 * 86_400]

sent = st.builds(
    Sent,
    st.sampled_from(["ann", "bob", "cem", "dee", None]),
    st.sampled_from(ANSWERS),
    st.sampled_from(TYPES),
    st.sampled_from(AGES).map(lambda seconds: timedelta(seconds=seconds)),
    st.booleans(),
)


def possible(one: Sent) -> bool:
    """What cannot be read, is of no type or of nobody known is not accepted."""
    return (one.who is not None and one.name != "no_such" and one.known) or one.answer not in ("accepted", "duplicate")


def batches(around: datetime) -> st.SearchStrategy[list[tuple[datetime, int, list[Sent]]]]:
    """(received at, process, events)"""
    at = st.integers(-3 * 96, 3 * 96).flatmap(
        lambda quarter: st.sampled_from([0, 1, 899]).map(lambda s: around + timedelta(minutes=15 * quarter, seconds=s))
    )
    events = st.lists(sent.filter(possible), min_size=1, max_size=8)
    return st.lists(st.tuples(at, st.integers(0, 2), events), max_size=10)


@pytest.mark.long
@drawing(40)
@pytest.mark.parametrize(
    ("zone", "around"),
    [*ZONES.items(), ("America/New_York", AUTUMN), ("Asia/Kathmandu", datetime(2025, 3, 1, tzinfo=UTC))],
)
def test_any_history(
    database: None,
    owner: psycopg.Connection,
    monkeypatch: pytest.MonkeyPatch,
    zone: str,
    around: datetime,
    examples: int,
) -> None:
    there = Receipts(make_program(zone=zone), owner, monkeypatch, slots=2)
    types = {row[0] for row in owner.execute("SELECT name FROM event_type WHERE program_id = %s", [there.program.id])}

    @settings(SHAPES, max_examples=examples)
    @given(data=st.data())
    def compared(data: st.DataObject) -> None:
        history = data.draw(batches(around))
        first: date = around.date() + timedelta(days=data.draw(st.integers(-4, 2)))
        last = first + timedelta(days=data.draw(st.integers(0, 5)))
        by: Interval = data.draw(st.sampled_from(["day", "week", "month"]))
        there.clear()
        for at, process, some in history:
            there.receive(at, *some, process=process)
        received = [(at, one) for at, _, some in history for one in some]
        released = there.ask(str(first), str(last), interval=by)
        assert (rows(released), totals(released)) == oracle_quality.quality(received, zone, first, last, by, types)
        behind = oracle_quality.cells(received, zone, first, last, by, types)
        gated = there.ask(str(first), str(last), interval=by, k=3)
        for key, told in rows(gated).items():
            for column, value in told.items():
                people = {one.who for one in behind[key, column]} - {None}
                assert value is None or (value == len(behind[key, column]) and len(people) >= 3)

    compared()
