"""Ingest counters: exactly what was answered for good, in the batch's own transaction, and nothing of anybody."""

import os
import re
from collections.abc import Callable
from contextlib import AbstractContextManager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import psycopg
import pytest
from django.db import DatabaseError, connection

from config.settings import BASE_DIR
from consent.programs.tenancy import tenant
from tests.cast import Program, event, now
from tests.consent import rights
from tests.tracking.test_barrier import Caller, wait_for_waiters
from tracking.codes import REFUSED, RETRY
from tracking.ingest import counting
from tracking.ingest.counting import closed_before, local_hour
from tracking.models import SLOTS
from tracking.tasks import forget_old_counters

COUNTERS = """
    SELECT t.name, answer, code, sum(events)::int, max(day_subjects)
    FROM ingest_count c LEFT JOIN event_type t ON t.id = c.type_id GROUP BY 1, 2, 3
"""


def counters(owner: psycopg.Connection) -> dict[tuple[str | None, str], tuple[int, int]]:
    """(event type, answer or code) -> (events, subjects at least)"""
    return {(name, code or answer): (n, who) for name, answer, code, n, who in owner.execute(COUNTERS)}


@pytest.fixture(autouse=True)
def nobody_remembered(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(counting, "_days", {})


def test_every_answer_is_counted_once(program: Program, owner: psycopg.Connection) -> None:
    program.decide("alice")
    program.decide("cem", "refused")
    first = event("alice", "e1")
    program.send(first)
    answer = program.send(
        first,
        event("alice", "e2"),
        event("alice", "e2"),
        event("bob", "e3"),
        event("eve", "e4"),
        event("cem", "e5"),
        event("alice", "e6", name="no_such_type"),
        event("alice", "e7", now() - timedelta(days=9), name="tap", properties={"element": "buy"}),
        {"event_id": "e8"},
        {},
    )  # fmt: skip
    assert (answer["stored"], answer["duplicate"], answer["refused"]) == (1, 2, 7)
    assert counters(owner) == {
        ("page_view", "accepted"): (2, 1),
        ("page_view", "duplicate"): (2, 1),
        ("page_view", "consent_missing"): (2, 2),
        ("page_view", "consent_refused"): (1, 1),
        ("tap", "too_old"): (1, 1),
        (None, "unknown_event"): (1, 1),
        (None, "invalid_event"): (2, 0),
    }


def test_a_batch_that_stores_nothing_is_counted_too(program: Program, owner: psycopg.Connection) -> None:
    program.send(event("bob", "e1"), event("bob", "e2", name="no_such_type"))
    program.decide("alice", "refused")
    program.send(event("alice", "e3"))
    assert counters(owner) == {
        ("page_view", "consent_missing"): (1, 1),
        (None, "unknown_event"): (1, 1),
        ("page_view", "consent_refused"): (1, 1),
    }


def test_a_call_refused_as_a_whole_counts_nothing(program: Program, owner: psycopg.Connection) -> None:
    program.decide("alice")
    assert program.post("events", {"events": [event("alice", "e1")], "more": 1}).status_code == 422
    program.key = program.key_with("events")
    assert program.post("events", {"events": [event("alice", "e1")], "historical": True}).status_code == 403
    assert counters(owner) == {}


def test_what_comes_after_its_days_figures_were_closed_is_late(program: Program, owner: psycopg.Connection) -> None:
    program.decide("alice", occurred_at=(now() - timedelta(days=6)).isoformat(), method="import")
    midnight = closed_before(now(), ZoneInfo(program.zone))
    program.send(event("alice", "e1", midnight - timedelta(seconds=1)), event("alice", "e2", midnight))
    assert counters(owner) == {("page_view", "accepted"): (1, 1), ("page_view", "late"): (1, 1)}


def test_nothing_of_an_event_or_its_subject_is_in_a_counter(program: Program, owner: psycopg.Connection) -> None:
    pseudonym = program.decide("canary-alice")["subject_id"]
    program.send(
        event("canary-alice", "canary-1", page="canary/page", session_id="canary-session"),
        event("canary-alice", "canary-2", name="canary_type"),
        event("canary-alice", "canary-3", properties={"canary": "canary"}),
        event("canary-bob", "canary-4"),
    )
    rows = owner.execute("SELECT c::text FROM ingest_count c").fetchall()
    subjects = {str(row[0]) for row in owner.execute("SELECT subject_id FROM subject")}
    assert len(rows) == 4
    assert "canary" not in str(rows)
    assert str(pseudonym) not in str(rows)
    columns = owner.execute("SELECT attname FROM pg_attribute WHERE attrelid = 'ingest_count'::regclass AND attnum > 0")
    assert not {"subject_id", "name"} & {row[0] for row in columns}
    assert subjects


def test_an_erasure_leaves_the_counters(
    program: Program, owner: psycopg.Connection, as_worker: Callable[[], AbstractContextManager[None]]
) -> None:
    """They are not the subject's: the same before and after."""
    program.decide("alice")
    program.send(event("alice", "e1"))
    before = counters(owner)
    assert rights.erased(program, owner, as_worker)["state"] == "completed"
    assert owner.execute("SELECT count(*) FROM event").fetchone() == (0,)
    assert counters(owner) == before == {("page_view", "accepted"): (1, 1)}


# --- The transaction ---------------------------------------------------------------------------------------------------


def test_an_event_and_its_counter_become_durable_together(program: Program, owner: psycopg.Connection) -> None:
    """The batch has written its event and hangs before its counter: neither is there yet."""
    program.decide("alice")
    program.send(event("alice", "e1"))
    with owner.transaction():
        owner.execute("SELECT FROM ingest_count FOR UPDATE")
        batch = Caller(lambda: program.send(event("alice", "e2")))
        wait_for_waiters(owner, 1)
        assert owner.execute("SELECT count(*) FROM event").fetchone() == (1,)
    assert batch.result()["stored"] == 1
    assert counters(owner) == {("page_view", "accepted"): (2, 1)}


def test_a_batch_whose_counter_stays_locked_comes_again(program: Program, owner: psycopg.Connection) -> None:
    """Nothing is stored that is not counted, and what is answered with retry is counted when it comes again."""
    program.decide("alice")
    sent = event("alice", "e2")
    program.send(event("alice", "e1"))
    with owner.transaction():
        owner.execute("SELECT FROM ingest_count FOR UPDATE")
        answer = program.send(sent, event("bob", "e3", name="no_such_type"))
    assert [result.get("code") for result in answer["results"]] == ["busy", "unknown_event"]
    assert counters(owner) == {("page_view", "accepted"): (1, 1), (None, "unknown_event"): (1, 1)}
    assert program.send(sent)["stored"] == 1
    assert counters(owner)["page_view", "accepted"] == (2, 1)


def test_what_a_withdrawal_in_flight_turns_away_is_counted_when_it_comes_again(
    program: Program, owner: psycopg.Connection
) -> None:
    program.decide("alice")
    owner.execute(
        "INSERT INTO withdrawal_intent (subject_id, purpose_id, program_id)"
        " SELECT subject_id, purpose_id, program_id FROM consent_state"
    )
    assert program.send(event("alice", "e1"))["retry"] == 1
    assert counters(owner) == {}
    owner.execute("DELETE FROM withdrawal_intent")
    program.send(event("alice", "e1"))
    assert counters(owner) == {("page_view", "accepted"): (1, 1)}


def test_batches_in_one_slot_wait_for_each_other_and_lose_nothing(program: Program, owner: psycopg.Connection) -> None:
    """Rows are taken in the order of their keys. In that of the events, each batch would hold what the other needs next."""
    program.decide("alice")
    program.decide("bob")
    names = ["page_view", "launch", "hide"]

    def send(openid: str, batch: str, names: list[str]) -> Any:
        return program.send(*(event(openid, f"{batch}-{name}", name=name) for name in names))

    send("alice", "first", names)
    with owner.transaction():
        owner.execute(
            "SELECT FROM ingest_count JOIN event_type t ON t.id = type_id WHERE t.name = %s FOR UPDATE OF ingest_count",
            [names[1]],
        )
        batches = [Caller(lambda: send("alice", "second", names)), Caller(lambda: send("bob", "third", names[::-1]))]
        wait_for_waiters(owner, 2)
    assert [batch.result()["stored"] for batch in batches] == [3, 3]
    assert {events for events, _ in counters(owner).values()} == {3}


# --- Memory ------------------------------------------------------------------------------------------------------------


def test_who_was_rolled_back_is_not_remembered(
    program: Program, owner: psycopg.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    program.decide("alice")
    program.decide("bob")
    monkeypatch.setattr(counting.Counting, "write", _failing(counting.Counting.write))
    assert program.post("events", {"events": [event("bob", "e1")]}).status_code == 500
    monkeypatch.undo()
    program.send(event("alice", "e2"))
    assert counters(owner) == {("page_view", "accepted"): (1, 1)}


def _failing(write: Callable[..., Any]) -> Callable[..., Any]:
    def failing(*arguments: Any) -> Any:
        write(*arguments)
        raise RuntimeError("the server dies before the commit")

    return failing


def test_memory_is_bounded(program: Program, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(counting, "MAX_SUBJECTS", 5)
    monkeypatch.setattr(counting, "MAX_CELLS", 3)
    program.send(*(event(f"s{n}", "e", name=name) for n in range(40) for name in ("page_view", "launch", "hide")))
    program.send(*(event(f"t{n}", "e", name=name) for n in range(40) for name in ("page_view", "launch", "hide")))
    cells = [people for day in counting._days.values() for people in day.cells.values()]
    assert [{kind: len(who) for kind, who in people.items()} for people in cells] == 3 * [{"openid": 5}]
    program.send(event("s1", "e", name="register"))
    assert not counting._days, "forgetting loses bounds only, and those written stay"


def test_a_process_forgets_other_days(program: Program, other: Program) -> None:
    long_ago = counting._Day(now().date() - timedelta(days=3), {})
    counting._days.update({program.id: long_ago, other.id: long_ago})
    program.send(event("bob", "e1"))
    assert set(counting._days) == {program.id}
    assert counting._days[program.id].day != long_ago.day


# --- The clock ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("zone", "moment", "hour"),
    [
        ("Asia/Shanghai", "2025-10-05 03:59:59", "2025-10-05 03:00"),
        ("Asia/Tehran", "2025-10-05 20:29:59", "2025-10-05 19:30"),
        ("Asia/Tehran", "2025-10-05 20:30:00", "2025-10-05 20:30"),
        ("Asia/Kathmandu", "2025-10-05 18:14:59", "2025-10-05 17:15"),
        ("America/New_York", "2025-11-02 06:30:00", "2025-11-02 06:00"),  # the second 01:30
        ("America/Santiago", "2025-09-07 04:20:00", "2025-09-07 04:00"),  # a day that begins at 01:00
    ],
)
def test_an_hour_is_that_of_the_zones_clock(zone: str, moment: str, hour: str) -> None:
    at, begins = (datetime.fromisoformat(text).replace(tzinfo=UTC) for text in (moment, hour))
    assert local_hour(at, ZoneInfo(zone)) == begins
    assert begins.astimezone(ZoneInfo(zone)).date() == at.astimezone(ZoneInfo(zone)).date()


# --- The table ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("answer", "code", "slot"),
    [("refused", "13812345678", 0), ("refused", "", 0), ("accepted", "too_old", 0), ("told", "", 0), ("late", "", 32)],
)
def test_the_table_takes_no_other_words(program: Program, answer: str, code: str, slot: int) -> None:
    with (
        pytest.raises(DatabaseError, match="violates check constraint"),
        tenant(program.id),
        connection.cursor() as cursor,
    ):
        cursor.execute(
            "INSERT INTO ingest_count (program_id, hour, type_id, answer, code, slot, events, day_subjects)"
            " VALUES (%s, '2025-10-05Z', 0, %s, %s, %s, 1, 0)",
            [program.id, answer, code, slot],
        )


def test_every_code_of_a_refusal_can_be_counted() -> None:
    """An unknown one would fail the batch: add it to tracking/codes.py, and to the constraint by a migration."""
    sources = [*Path(BASE_DIR, "tracking", "ingest").glob("*.py"), Path(BASE_DIR, "consent", "records", "grants.py")]
    text = "".join(path.read_text() for path in sources)
    given = set(re.findall(r'Refusal\(\s*"(\w+)"', text)) | set(re.findall(r'"(consent_\w+|\w+_required)"', text))
    given |= set(re.findall(r'return "(\w+)"$', Path(sources[-1]).read_text(), re.MULTILINE))
    assert given == set(REFUSED) | RETRY


def test_only_the_worker_forgets_and_only_what_is_old(
    program: Program,
    other: Program,
    owner: psycopg.Connection,
    as_worker: Callable[[], AbstractContextManager[None]],
) -> None:
    for sender in (program, other):
        sender.send(event("bob", "e1"))
        owner.execute(
            "INSERT INTO ingest_count SELECT hour - interval '401 days', type_id, answer, code, slot, events,"
            " day_subjects, program_id FROM ingest_count WHERE program_id = %s",
            [sender.id],
        )
    with pytest.raises(DatabaseError, match="permission denied"):
        forget_old_counters()
    with as_worker():
        forget_old_counters()
    left = owner.execute("SELECT program_id, hour > now() - interval '2 hours' FROM ingest_count").fetchall()
    assert sorted(left) == [(program.id, True), (other.id, True)]


def test_a_process_writes_to_a_slot_of_its_own(program: Program, owner: psycopg.Connection) -> None:
    program.send(event("bob", "e1"))
    assert owner.execute("SELECT slot FROM ingest_count").fetchone() == (os.getpid() % SLOTS,)
