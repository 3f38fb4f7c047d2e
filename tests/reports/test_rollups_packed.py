"""Events of closed days, packed: they say what the events say, and nobody stays in them."""

from collections.abc import Callable
from datetime import date, datetime, timedelta
from time import sleep
from typing import Any
from zoneinfo import ZoneInfo

import psycopg
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from consent.programs.tenancy import tenant
from reports.columns import arrays, read
from reports.columns.events import Events
from reports.columns.read import Reading
from reports.privacy.figures import Period
from reports.rollups import build, days
from reports.rollups.read import NOTHING
from tests.cast import Program, now
from tests.consent import rights
from tests.consent.retaining import erase_due, purge
from tests.consent.rights import Working, subject_of
from tests.reports.events import History, Seen, local
from tests.reports.rolled import held, note_late, packed_of, roll, wrong
from tests.reports.test_activity_oracle import AUTUMN, SHAPES, ZONES, drawing
from tests.reports.test_rollups import ago, closed_days, lived, local_day
from tests.reports.test_rollups_retention import DAY, KEPT, at

Histories = Callable[..., History]
TEXTS = ["element", "scene", "os", "app_version"]
COLUMNS = ["type", "page", "session", "dwell", "scroll", "load", *TEXTS]
PEOPLE = ["ann", "bob", "cem"]
NAMES = ["page_view", "page_leave", "tap", "for_personalisation"]


@st.composite
def seen(draw: st.DrawFn, around: datetime) -> Seen:
    properties = {
        "scroll_depth": draw(st.sampled_from([None, 0.1, 0, -3, "far"])),
        "load_ms": draw(st.sampled_from([None, 1e-7, 123, 1e20])),
        "element": draw(st.sampled_from([None, "", "buy", "\u8d2d\u4e70", "buy"])),
    }
    context = {
        "os": draw(st.sampled_from([None, "ios", "\u9e3f\u8499"])),
        "app_version": draw(st.sampled_from([None, "8.0", "10.0"])),
    }
    name = draw(st.sampled_from(NAMES))
    return Seen(
        draw(st.sampled_from(PEOPLE)),
        around + timedelta(microseconds=draw(st.sampled_from([0, 1, -1, 60_000_000, 86_399_999_999]))) * draw(st.integers(-3, 3)),
        draw(st.sampled_from([None, None, "one", "two"])),
        timedelta(hours=draw(st.sampled_from([0, 24, -24]))),
        "personalisation" if name == "for_personalisation" else "analytics",
        name,
        draw(st.sampled_from([None, "home", "list"])),
        draw(st.sampled_from([None, 0, 2**31 - 1])),
        scene=draw(st.sampled_from([None, "1001", "1007"])),
        context={name: value for name, value in context.items() if value is not None} or None,
        properties={name: value for name, value in properties.items() if value is not None},
    )  # fmt: skip


def told(history: History, of: Period, columns: list[str], **more: Any) -> list[tuple[Any, ...]]:
    """A row an event, each column by its name's place in `columns`, codes as their texts."""
    with tenant(history.program.id):
        reading = Reading(history.program.id, of, columns, **more)
        found: list[tuple[Any, ...]] = []
        for part in reading:
            table = {name: part[name].tolist() for name in ["subject", "at", *columns]}
            for name in set(TEXTS).intersection(columns):
                texts = reading.texts(name)
                table[name] = [texts[code] for code in table[name]]
            rows = list(zip(*table.values(), strict=True))
            assert not {row[0] for row in rows} & {row[0] for row in found}, "nobody is in two parts"
            found += rows
    return [tuple(str(value) for value in row) for row in found]


def from_events(monkeypatch: pytest.MonkeyPatch, *asked: Any, **more: Any) -> list[tuple[Any, ...]]:
    with monkeypatch.context() as without:
        without.setattr(read, "held_packed", lambda *_: NOTHING)
        return told(*asked, **more)


def add_types(history: History) -> None:
    history.owner.execute(
        "INSERT INTO event_type (program_id, name, purpose_id, description, status, categories, properties, version)"
        " SELECT program_id, 'for_personalisation', id, '', 'active', '{behaviour}', '{}', 1 FROM purpose"
        " WHERE program_id = %s AND code = 'personalisation' ON CONFLICT DO NOTHING",
        [history.program.id],
    )


def named_types(history: History) -> list[tuple[str, int]]:
    rows = history.owner.execute(
        "SELECT name, id FROM event_type WHERE program_id = %s ORDER BY 1", [history.program.id]
    )
    return [(str(name), int(number)) for name, number in rows.fetchall()]


def types_of(history: History) -> list[int]:
    return [number for name, number in named_types(history) if name in NAMES]


# --- What is read ----------------------------------------------------------------------------------------------------


@drawing(60)
@pytest.mark.parametrize(("zone", "around"), [*ZONES.items(), ("America/New_York", AUTUMN)])
def test_of_any_history_the_packed_events_say_what_the_events_say(
    history: Histories, as_worker: Working, monkeypatch: pytest.MonkeyPatch, zone: str, around: datetime, examples: int
) -> None:
    there = history(zone)
    add_types(there)
    monkeypatch.setattr(read, "SUBJECT_BITS", 0)

    @settings(SHAPES, max_examples=examples)
    @given(data=st.data())
    def compared(data: st.DataObject) -> None:
        there.clear()
        for forgotten in ("rollup", "rollup_day", "rollup_events"):
            there.owner.execute(f"DELETE FROM {forgotten}".encode())
        there.owner.execute("UPDATE subject SET restricted = false")
        there.owner.execute("UPDATE consent_state SET state = 'given'")
        there.add_all(data.draw(st.lists(seen(around), max_size=12)))
        first = around.date() - timedelta(days=5)
        with as_worker():
            roll(there.program, [first + n * DAY for n in data.draw(st.sets(st.integers(0, 10)))])
        for who in PEOPLE:
            happened = data.draw(st.sampled_from(["nothing", "nothing", "restricted", "withdrawn"]))
            if who in there.ids and happened == "restricted":
                there.flag(who, "restricted")
            elif who in there.ids and happened == "withdrawn":
                there.end_consent(who, purpose="personalisation")
        begins = around - data.draw(st.integers(-50, 100)) * timedelta(hours=1)
        of = Period(begins, begins + data.draw(st.sampled_from([1, 24, 80, 150])) * timedelta(hours=1))
        columns = data.draw(
            st.sampled_from(
                [COLUMNS, ["session"], ["type", "element"], ["dwell"], ["scene"], ["os", "app_version"], []]
            )
        )
        types = data.draw(st.none() | st.lists(st.sampled_from(types_of(there)), max_size=3))
        with monkeypatch.context() as patched:
            patched.setattr(read, "FEW", data.draw(st.sampled_from([-1, 20])))
            found = told(there, of, columns, types=types)
        assert found == from_events(monkeypatch, there, of, columns, types=types)

    compared()


def test_few_events_are_read_at_once_and_others_by_subjects(
    history: Histories, as_worker: Working, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(read, "SUBJECT_BITS", 0)
    monkeypatch.setattr(read, "FEW", 3)
    shanghai = history()
    noon = local("2025-10-10 12:00:00")
    shanghai.add(*(Seen(who, noon + n * DAY, name="tap") for who in PEOPLE for n in range(2)))
    shanghai.add(*(Seen(who, noon + n * DAY) for who in ("cem", "ann", "bob") for n in range(1)))
    with as_worker():
        roll(shanghai.program, [date(2025, 10, 10), date(2025, 10, 11)])
    of = Period(noon - DAY, noon + 3 * DAY)
    for names, parts in ((("page_view",), 1), (("tap",), 3), (("page_view", "tap"), 3), (None, 3)):
        asked = None if names is None else [number for name, number in named_types(shanghai) if name in names]
        with tenant(shanghai.program.id):
            assert len(list(Reading(shanghai.program.id, of, [], types=asked))) == parts


@pytest.mark.parametrize(
    ("name", "value", "days"), [("FULLEST", 5, 2), ("FULLEST", 6, 2), ("FEW", 20, 1), ("FEW", 20, 2)]
)
def test_all_is_read_at_once_only_where_it_is_little(
    history: Histories, as_worker: Working, monkeypatch: pytest.MonkeyPatch, name: str, value: int, days: int
) -> None:
    """Six a day; of three days that are asked for `days` are packed."""
    monkeypatch.setattr(read, "SUBJECT_BITS", 0)
    monkeypatch.setattr(read, name, value)
    shanghai = history()
    noon = local("2025-10-10 12:00:00")
    shanghai.add_all(Seen(f"s{n}", noon + m * DAY, name="tap") for n in range(6) for m in range(3))
    with as_worker():
        roll(shanghai.program, [date(2025, 10, 10 + n) for n in range(days)])
    types = [number for name, number in named_types(shanghai) if name == "tap"]
    with tenant(shanghai.program.id):
        parts = list(Reading(shanghai.program.id, Period(noon - DAY / 2, noon + 2.5 * DAY), [], types=types))
    assert sum(map(len, parts)) == 18
    assert len(parts) == (1 if (value, days) in {(6, 2), (20, 2)} else 6)


def test_subjects_who_have_much_are_read_in_fewer(
    history: Histories, as_worker: Working, monkeypatch: pytest.MonkeyPatch
) -> None:
    shanghai = history()
    noon = local("2025-10-10 12:00:00")
    shanghai.add_all(Seen(f"s{n}", noon + timedelta(seconds=m)) for n in range(16) for m in range(4))
    with as_worker():
        roll(shanghai.program, [date(2025, 10, 10)])
    for at_once, most in ((10_000, 64), (16, 16), (1, 4)):
        monkeypatch.setattr(read, "AT_ONCE", at_once)
        with tenant(shanghai.program.id):
            parts = list(Reading(shanghai.program.id, Period(noon, noon + DAY), []))
        assert sum(map(len, parts)) == 64
        assert max(map(len, parts)) <= most
        assert len(parts) <= 64 // most + 1


def test_only_the_types_that_are_asked_for(history: Histories, as_worker: Working) -> None:
    shanghai = history()
    noon = local("2025-10-10 12:00:00")
    shanghai.add(Seen("ann", noon, name="page_view"), Seen("ann", noon + timedelta(seconds=9), name="tap"))
    with as_worker():
        roll(shanghai.program, [date(2025, 10, 10)])
    shanghai.clear()  # so that nothing is read from there
    of = Period(noon - timedelta(hours=1), noon + timedelta(hours=1))
    both = told(shanghai, of, ["type"])
    assert len(both) == 2
    assert told(shanghai, of, ["type"], types=[int(both[1][2])]) == both[1:]


def test_a_reading_that_is_left_may_be_begun_again(
    history: Histories, as_worker: Working, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(read, "SUBJECT_BITS", 0)
    shanghai = history()
    noon = local("2025-10-10 12:00:00")
    shanghai.add(*(Seen(who, noon + n * DAY) for who in PEOPLE for n in range(3)))
    with as_worker():
        roll(shanghai.program, [date(2025, 10, 10), date(2025, 10, 12)])
    with tenant(shanghai.program.id):
        reading = Reading(shanghai.program.id, Period(noon, noon + 3 * DAY), [])
        for part in reading:
            assert len(part) == 3
            break
        assert len(list(reading)) == 3


def test_nothing_is_read_any_more_once_a_count_has_failed(
    history: Histories, as_worker: Working, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(read, "SUBJECT_BITS", 0)
    shanghai, asked = history(), list[str]()
    noon = local("2025-10-10 12:00:00")
    shanghai.add(*(Seen(f"s{n}", noon) for n in range(8)))
    with as_worker():
        roll(shanghai.program, [date(2025, 10, 10)])
    rows = arrays._rows

    def slow(*statement: Any) -> Any:
        sleep(0.05)
        found = rows(*statement)
        asked.append("a part")
        return found

    def fail(_: Events) -> None:
        raise ArithmeticError

    monkeypatch.setattr(arrays, "_rows", slow)
    with pytest.raises(ArithmeticError) as held_on_to, tenant(shanghai.program.id):
        Reading(shanghai.program.id, Period(noon, noon + DAY), []).each(fail)
    asked.append("over")
    sleep(0.3)
    assert (asked[-1], asked.count("a part") < 8) == ("over", True), held_on_to


def test_no_id_is_too_long(history: Histories, as_worker: Working, monkeypatch: pytest.MonkeyPatch) -> None:
    shanghai = history()
    noon = local("2025-10-10 12:00:00")
    insert = (
        "INSERT INTO event_type (id, program_id, name, purpose_id, description, status, categories, properties, version)"
        " SELECT %s, program_id, 'long_' || %s::bigint, id, '', 'active', '{behaviour}', '{}', 1 FROM purpose"
        " WHERE program_id = %s AND code = 'analytics'"
    )
    ids = [2**16 - 1, 2**16, 2**16 + 1, 2**40, 2**62 + 3]
    for n, number in enumerate(ids):
        shanghai.owner.execute(insert, [number, number, shanghai.program.id])
        for session in (None, "s"):
            name, moment = f"long_{number}", noon + timedelta(seconds=2 * n + bool(session))
            shanghai.add(Seen("ann", moment, session, name=name, page="home", dwell_ms=n))
            page = [2**24 - 1, 2**24, 5, 2**62 + 1, 2**33][n]
            shanghai.owner.execute("UPDATE event SET page_id = %s WHERE corrected_at = %s", [page, moment])
    of = Period(noon, noon + timedelta(hours=1))
    counted = told(shanghai, of, COLUMNS)
    assert [int(row[2]) for row in counted[::2]] == ids
    with as_worker():
        roll(shanghai.program, [date(2025, 10, 10)])
    shanghai.clear()
    assert told(shanghai, of, COLUMNS) == counted


def test_a_subject_may_have_as_many_sessions_a_day_as_events(history: Histories, as_worker: Working) -> None:
    shanghai = history()
    noon = local("2025-10-10 12:00:00")
    sessions = [None if n % 7 == 0 else f"s{n % 290}" for n in range(600)]
    shanghai.add_all(Seen("ann", noon + timedelta(seconds=n), session) for n, session in enumerate(sessions))
    of = Period(noon, noon + timedelta(hours=1))
    counted = told(shanghai, of, ["session"])
    with as_worker():
        roll(shanghai.program, [date(2025, 10, 10)])
    shanghai.clear()
    assert told(shanghai, of, ["session"]) == counted


# --- Building --------------------------------------------------------------------------------------------------------


def test_days_that_were_packed_otherwise_are_built_again_and_answered_from_their_events(
    history: Histories, as_worker: Working, monkeypatch: pytest.MonkeyPatch
) -> None:
    shanghai = history()
    program, day = shanghai.program, date(2025, 10, 10)
    zone, noon = ZoneInfo(program.zone), local("2025-10-10 12:00:00")
    shanghai.add(Seen("ann", noon))
    with as_worker():
        roll(program, [day])
        assert roll(program, [day]) == [False], "there is nothing to do"
    span = build.Span(day, day)
    assert build.to_build(program.id, zone, span) == []
    # As those that were built before there were any.
    shanghai.owner.execute("UPDATE rollup_day SET layout = 0 WHERE program_id = %s", [program.id])
    shanghai.owner.execute("DELETE FROM rollup_events WHERE program_id = %s", [program.id])
    assert build.to_build(program.id, zone, span) == [day]
    assert shanghai.table("2025-10-10", "2025-10-10", "dau") == {"2025-10-10": [1]}
    assert len(told(shanghai, Period(noon, noon + timedelta(hours=1)), [])) == 1
    assert held(program, day) is not None, "its tallies stand"
    assert wrong(program, [day]) == []
    with as_worker():
        assert roll(program, [day]) == [True]
    assert build.to_build(program.id, zone, span) == []
    assert len(packed_of(program)) == 1


def test_who_is_restricted_while_a_day_is_built_is_in_all_of_it_or_in_none(
    history: Histories, as_worker: Working, monkeypatch: pytest.MonkeyPatch
) -> None:
    shanghai = history()
    shanghai.add(Seen("ann", local("2025-10-10 12:00:00")), Seen("bob", local("2025-10-10 12:00:00")))
    write = days.write

    def restricted_then_written(*asked: Any, **more: Any) -> None:
        shanghai.flag("ann", "restricted")
        write(*asked, **more)

    monkeypatch.setattr(days, "write", restricted_then_written)
    with as_worker():
        roll(shanghai.program, [date(2025, 10, 10)])
    assert wrong(shanghai.program, [date(2025, 10, 10)]) == []
    assert len(packed_of(shanghai.program)) == 2


@pytest.mark.parametrize(
    "harm",
    [
        "DELETE FROM rollup_events WHERE subject_id = %(ann)s",
        "UPDATE rollup_events SET numbers = NULL WHERE subject_id = %(ann)s",
        "UPDATE rollup_events SET contexts = NULL WHERE subject_id = %(ann)s",
        "INSERT INTO rollup_events (program_id, day, subject_id, events) SELECT program_id, day, 0, events FROM rollup_events"
        " WHERE subject_id = %(ann)s",
    ],
)
def test_a_check_finds_what_is_not_what_the_events_say(history: Histories, as_worker: Working, harm: str) -> None:
    shanghai = history()
    noon = local("2025-10-10 12:00:00")
    shanghai.add(Seen("ann", noon, dwell_ms=7, scene="1001"), Seen("bob", local("2025-10-10 12:00:00")))
    with as_worker():
        roll(shanghai.program, [date(2025, 10, 10)])
    assert wrong(shanghai.program, [date(2025, 10, 10)]) == []
    shanghai.owner.execute(harm.encode(), {"ann": shanghai.ids["ann"]})
    assert wrong(shanghai.program, [date(2025, 10, 10)]) == [date(2025, 10, 10)]


# --- Forgetting ------------------------------------------------------------------------------------------------------


def test_who_is_erased_is_in_no_row_and_the_others_are_as_they_were(
    program: Program, owner: psycopg.Connection, as_worker: Working
) -> None:
    alice = subject_of(owner, lived(program, "alice"))
    lived(program, "bob")
    with as_worker():
        roll(program, closed_days(program))
    assert len(packed_of(program, alice)) == len(closed_days(program))
    kept = [row for row in packed_of(program) if row[1] != alice]
    assert rights.erased(program, owner, as_worker)["state"] == "completed"
    assert len(packed_of(program, alice)) == 0
    assert packed_of(program) == kept
    assert wrong(program, closed_days(program)) == []
    assert [held(program, day) is None for day in closed_days(program)] == [False] * 3


def test_what_a_withdrawal_leaves_is_packed_again(
    program: Program, owner: psycopg.Connection, as_worker: Working, history: Histories
) -> None:
    there = History(program, owner)
    add_types(there)
    alice = subject_of(owner, lived(program, "alice"))
    there.ids["alice"] = alice
    for age in (5, 6):
        there.add(Seen("alice", ago(age), purpose="personalisation", name="for_personalisation"))
    with as_worker():
        roll(program, closed_days(program))
    before = told(there, Period(ago(9), ago(3)), ["type"])
    program.decide("alice", "withdrawn")
    owner.execute("UPDATE purpose_erasure SET not_before = asked_at")
    erase_due(as_worker)
    days_left = [held(program, day) for day in closed_days(program)]
    assert None not in days_left, "they stayed clean"
    assert wrong(program, closed_days(program)) == []
    assert len(packed_of(program, alice)) == 2
    left = told(there, Period(ago(9), ago(3)), ["type"])
    assert len(before) == 8
    assert len(left) == 2
    assert set(left) < set(before)


def test_a_day_packed_in_another_layout_is_read_by_nobody_once_some_of_it_went(
    program: Program, owner: psycopg.Connection, as_worker: Working
) -> None:
    """Of that layout nothing can be packed again, and without it the day lacks what is left of the subject."""
    there = History(program, owner)
    add_types(there)
    there.ids["alice"] = subject_of(owner, lived(program, "alice"))
    there.add(Seen("alice", ago(5), purpose="personalisation", name="for_personalisation"))
    with as_worker():
        roll(program, closed_days(program))
    layouts = "SELECT day FROM rollup_day WHERE program_id = %s AND layout = 0"
    assert owner.execute(layouts, [program.id]).fetchall() == []
    owner.execute("UPDATE rollup_day SET layout = layout + 1 WHERE program_id = %s", [program.id])
    program.decide("alice", "withdrawn")
    owner.execute("UPDATE purpose_erasure SET not_before = asked_at")
    erase_due(as_worker)
    assert (local_day(program, ago(5)),) in owner.execute(layouts, [program.id]).fetchall()


def test_a_purge_takes_the_rows_of_days_that_are_over(
    history: Histories, owner: psycopg.Connection, as_worker: Working
) -> None:
    shanghai = history()
    dropped = now().date() - (KEPT + 1) * DAY
    shanghai.add(Seen("ann", at(dropped + 4 * DAY, 12)), Seen("ann", at(dropped + 9 * DAY, 1)))
    with as_worker():
        roll(shanghai.program, [dropped + n * DAY for n in range(16)])
    assert len(packed_of(shanghai.program)) == 2
    purge(shanghai.program, as_worker)
    assert len(packed_of(shanghai.program)) == 1


def test_a_day_that_is_out_of_date_is_forgotten_with_its_rows(
    program: Program, owner: psycopg.Connection, as_worker: Working
) -> None:
    alice = subject_of(owner, lived(program, "alice"))
    lived(program, "bob")
    with as_worker():
        roll(program, closed_days(program))
    note_late(History(program, owner), local_day(program, ago(6)))
    with as_worker(), tenant(program.id):
        packed_days = days.packed_days(program.id, ZoneInfo(program.zone), date.min, date.max)
    assert packed_days == set()
    assert rights.erased(program, owner, as_worker)["state"] == "completed"
    assert len(packed_of(program, alice)) == 0
