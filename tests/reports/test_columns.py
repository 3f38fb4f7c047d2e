"""Events as columns: what is read, in which order, and that sessions are cut as everywhere else."""

import math
from collections.abc import Callable
from datetime import date, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from consent.programs.tenancy import tenant
from reports.columns import read
from reports.columns.events import Events, micros
from reports.columns.read import Reading
from reports.columns.visits import visits
from reports.metrics.calendar import period
from reports.metrics.session import LOOK_AHEAD, LOOK_BACK
from reports.privacy.figures import Period
from tests.reports.events import History, Seen, local
from tests.reports.oracle_sessions import cut
from tests.reports.test_activity_oracle import AUTUMN, SHAPES, ZONES, drawing, histories

Histories = Callable[..., History]
NOON = local("2025-10-05 12:00:00")
AROUND = Period(NOON - timedelta(hours=1), NOON + timedelta(hours=1))


def read_all(history: History, columns: list[str], of: Period = AROUND, **more: Any) -> tuple[Reading, list[Events]]:
    with tenant(history.program.id):
        reading = Reading(history.program.id, of, columns, **more)
        return reading, list(reading)


def test_what_a_column_says(history: Histories) -> None:
    shanghai = history()
    shanghai.add(
        Seen(
            "ann", NOON, "s", name="page_leave", page="home", dwell_ms=7, properties={"scroll_depth": 1.5, "load_ms": 9}
        ),
        Seen("ann", NOON + timedelta(microseconds=1), name="tap", properties={"element": "buy", "load_ms": "9"}),
        Seen("ann", NOON + timedelta(seconds=1), name="launch", properties={"element": "no tap"}, scene="1001"),
    )
    reading, (found,) = read_all(
        shanghai, ["type", "page", "session", "dwell", "scroll", "load", "element"], value="e.scene"
    )
    assert list(found.subject) == [shanghai.ids["ann"]] * 3
    assert list(found.at - micros(NOON)) == [0, 1, 1_000_000]
    assert len(set(found["type"])) == 3
    assert [bool(page) for page in found["page"]] == [True, False, False]
    assert [bool(session) for session in found["session"]] == [True, False, False]
    assert list(found["dwell"]) == [7, -1, -1]
    assert [found["scroll"][0], found["load"][0]] == [1.5, 9.0]
    assert all(math.isnan(number) for name in ("scroll", "load") for number in found[name][1:]), "a text is no number"
    assert [reading.texts("element")[code] for code in found["element"]] == [None, "buy", None]
    assert [reading.texts("value")[code] for code in found["value"]] == [None, None, "1001"]


def test_a_number_that_no_float_holds_is_the_nearest(history: Histories) -> None:
    shanghai = history()
    for n, number in enumerate(("1" + "0" * 400, "-1" + "0" * 400, "1e-400", "0", "0.1")):
        shanghai.add(Seen("ann", NOON + timedelta(seconds=n), name="page_leave", properties={"load_ms": 7}))
        shanghai.owner.execute(
            "UPDATE event SET properties = jsonb_build_object('load_ms', %s::numeric) WHERE corrected_at = %s",
            [number, NOON + timedelta(seconds=n)],
        )
    _, (found,) = read_all(shanghai, ["load"])
    assert list(found["load"]) == [1e300, -1e300, 0, 0, 0.1]


def test_events_of_one_instant_are_in_the_order_of_their_ids(history: Histories) -> None:
    shanghai = history()
    for event_id, name in (("b", "tap"), ("a", "launch"), ("B", "hide")):
        shanghai.add(Seen("ann", NOON, name=name, event_id=event_id))
    _, (found,) = read_all(shanghai, [], value="e.event_id")
    assert list(found["value"]) == [1, 2, 3]
    reading, _ = read_all(shanghai, [], value="e.event_id")
    assert reading.texts("value") == [None, "B", "a", "b"], "byte by byte"


def test_only_what_counts_of_the_instants_and_types(history: Histories) -> None:
    shanghai, other = history(), history()
    names = ["launch", "tap"]
    for n, at in enumerate((AROUND.begins - timedelta(microseconds=1), AROUND.begins, AROUND.ends)):
        shanghai.add(Seen("ann", at, name=names[n % 2]), Seen("ann", at, name="hide"))
    shanghai.add(Seen("bob", NOON, name="tap"))
    other.add(Seen("ann", NOON, name="tap"))
    shanghai.flag("bob", "restricted")
    _, (found,) = read_all(shanghai, ["type"])
    assert list(found.at) == [micros(AROUND.begins)] * 2
    assert set(found.subject) == {shanghai.ids["ann"]}
    _, (some,) = read_all(shanghai, ["type"], types=[int(found["type"][0])])
    assert list(some["type"]) == [found["type"][0]]
    assert read_all(shanghai, ["type"], types=[])[1] == []


def test_nobody_is_in_two_parts(history: Histories, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(read, "SUBJECT_BITS", 0)
    shanghai = history()
    for n in range(3):
        shanghai.add(*(Seen(name, NOON + timedelta(seconds=n)) for name in ("ann", "bob", "cem")))
    _, parts = read_all(shanghai, ["session"])
    assert sorted([list(part.subject) for part in parts]) == [
        [shanghai.ids[name]] * 3 for name in ("ann", "bob", "cem")
    ]


def test_many_are_read_together_where_nothing_is_packed(history: Histories) -> None:
    shanghai = history()
    shanghai.add(*(Seen(f"s{n}", NOON) for n in range(64)))
    _, parts = read_all(shanghai, [])
    assert sum(map(len, parts)) == 64
    assert len(parts) <= 2, "whose ids lie on either side of a bound"


def test_a_reading_that_is_left_leaves_the_connection_free(history: Histories, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(read, "SUBJECT_BITS", 0)
    shanghai = history()
    shanghai.add(*(Seen(name, NOON) for name in ("ann", "bob", "cem")))
    with tenant(shanghai.program.id):
        reading = Reading(shanghai.program.id, AROUND, [])
        for _ in reading:
            break
        assert len(list(reading)) == 3


@drawing(60)
@pytest.mark.parametrize(("zone", "around"), [*ZONES.items(), ("America/New_York", AUTUMN)])
def test_any_history_is_cut_into_the_same_sessions(history: Histories, zone: str, around: Any, examples: int) -> None:
    there = history(zone)

    def of(seen: list[Seen], first: date, last: date) -> list[tuple[int, list[int]]]:
        asked = [visit for visit in cut(seen) if first <= visit[0].at.astimezone(ZoneInfo(zone)).date() <= last]
        return sorted((there.ids[visit[0].subject], [micros(one.at) for one in visit]) for visit in asked)

    @settings(SHAPES, max_examples=examples)
    @given(data=st.data())
    def compared(data: st.DataObject) -> None:
        seen = data.draw(histories(around))
        first = around.date() + timedelta(days=data.draw(st.integers(-5, 3)))
        last = first + timedelta(days=data.draw(st.integers(0, 9)))
        there.clear()
        there.add_all(seen)
        asked = period(first, last, ZoneInfo(zone))
        _, parts = read_all(there, ["session"], Period(asked.begins - LOOK_BACK, asked.ends + LOOK_AHEAD))
        found: list[tuple[int, list[int]]] = []
        for part in parts:
            told = visits(part, asked)
            assert list(told.number[told.starts]) == list(range(len(told.starts)))
            ends = [*told.starts, len(told.number)][1:]
            for begins, until in zip(told.starts, ends, strict=True):
                assert len({*told.number[begins:until]}) == 1
                found.append((int(told.events.subject[begins]), [int(at) for at in told.events.at[begins:until]]))
        assert sorted(found) == of(seen, first, last)

    compared()
