"""Batches beside others: what they wait for, and what they find when they have waited."""

import itertools
from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Any

import psycopg
import pytest
from django.db import connection
from psycopg import sql

from tests.cast import Program, event, now
from tests.tracking.test_barrier import Caller, stored, wait_for_waiters
from tests.tracking.test_events import codes
from tracking import partitions
from tracking.ingest import actions, screen, write

ANOTHERS_EVENT = """
    INSERT INTO event (subject_id, consent_record_id, type_id, occurred_at, corrected_at, received_at, day, program_id,
                       event_id)
    SELECT subject_id, consent_record_id, type_id, occurred_at, corrected_at, received_at, day, program_id, %s
    FROM event WHERE event_id = 'e0'
"""


@pytest.mark.usefixtures("written_by")
@pytest.mark.parametrize("retried", [False, True], ids=["new", "retried"])
def test_an_event_that_is_being_written_by_another_is_answered_busy(
    program: Program, owner: psycopg.Connection, monkeypatch: pytest.MonkeyPatch, retried: bool
) -> None:
    monkeypatch.setattr(actions, "LOCK_TIMEOUT", "200ms")
    program.decide("alice")
    first = event("alice", "e0")
    program.send(first)
    batch = [*([first] if retried else []), event("alice", "e1")]
    with owner.transaction(force_rollback=True):
        owner.execute(ANOTHERS_EVENT, ["e1"])
        assert codes(program.send(*batch)) == [("retry", "busy")] * len(batch)
    assert program.send(*batch)["stored"] == 1


def test_a_batch_that_cannot_be_screened_for_a_lock_is_answered_busy(
    program: Program, owner: psycopg.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As while a migration waits for the catalogue's table, in a process that has not read it yet."""
    monkeypatch.setattr(actions, "LOCK_TIMEOUT", "200ms")
    program.decide("alice")
    screen._active.clear()
    batch = [event("alice", "e1"), {"event_id": "e2"}]
    with owner.transaction(force_rollback=True):
        owner.execute("LOCK TABLE event_type IN ACCESS EXCLUSIVE MODE")
        assert codes(program.send(*batch)) == [("retry", "busy"), ("refused", "invalid_event")]
    assert program.send(*batch)["stored"] == 1


def test_days_without_partitions_are_made_some_at_a_time(database: None, monkeypatch: pytest.MonkeyPatch) -> None:
    """The database makes 500 in one call and no more."""
    assert partitions.DAYS_AT_ONCE <= 500
    monkeypatch.setattr(partitions, "DAYS_AT_ONCE", 2)
    there = set(partitions.attached_days())  # other tests', of dates of their own
    before = ((now() - timedelta(days=300 + n)).date() for n in itertools.count())
    days = list(itertools.islice((day for day in before if day not in there), 3))
    asked: list[int] = []

    def noted(execute: Any, sql: str, params: Any, many: bool, context: Any) -> Any:
        asked.extend(len(some) for some in params or ())
        return execute(sql, params, many, context)

    with connection.execute_wrapper(noted):
        assert partitions.ensure_days(days) == 3
    assert asked == [2, 1]
    assert set(days) <= set(partitions.attached_days())


@pytest.mark.usefixtures("written_by")
def test_the_same_events_in_opposite_order_wait_and_do_not_deadlock(
    program: Program, owner: psycopg.Connection
) -> None:
    program.decide("alice")
    program.send(event("alice", "e0"))
    batch = [event("alice", f"e{number}") for number in (1, 2, 3)]
    with owner.transaction(force_rollback=True):
        owner.execute(ANOTHERS_EVENT, ["e2"])
        upwards = Caller(lambda: program.send(*batch))
        wait_for_waiters(owner, 1)
        downwards = Caller(lambda: program.send(*batch[::-1]))
        wait_for_waiters(owner, 2)
    assert [result["event_id"] for result in downwards.result()["results"]] == ["e3", "e2", "e1"]
    assert [upwards.result()["stored"], downwards.result()["duplicate"]] == [3, 3]


def test_what_is_written_is_in_one_order_and_answers_in_the_senders(
    program: Program, monkeypatch: pytest.MonkeyPatch, written_by: str
) -> None:
    for person in ("alice", "bob"):
        program.decide(person)
    written: list[Any] = []
    way = "copy" if written_by == "copy" else "ask_insert"
    write_rows = getattr(write, way)

    def noted(rows: write.Rows) -> Any:
        written.extend(rows.events)
        return write_rows(rows)

    monkeypatch.setattr(write, way, noted)
    sent = [event("bob", "e2"), event("alice", "e3"), event("bob", "e1"), event("alice", "e1")]
    answer = program.send(*sent)
    keys = [(event.day, event.subject_id, event.read.sent.event_id) for event in written]
    assert keys == sorted(keys)
    assert len(keys) == 4
    assert [result["event_id"] for result in answer["results"]] == ["e2", "e3", "e1", "e1"]


@pytest.mark.usefixtures("written_by")
@pytest.mark.parametrize("retried", [False, True], ids=["new", "retried"])
def test_a_partition_that_was_dropped_is_made_again(
    program: Program, owner: psycopg.Connection, monkeypatch: pytest.MonkeyPatch, retried: bool
) -> None:
    """Retried: the batch meets a copy of its own first, and the partition of its second event is gone."""
    program.decide("alice", occurred_at=(now() - timedelta(days=200)).isoformat(), method="import")
    first, second = event("alice", "e1"), event("alice", "e2")
    if retried:
        program.send(first)
        second = event("alice", "e2", now() - timedelta(days=100))
    day = datetime.fromisoformat(second["occurred_at"]).date()
    partitions.ensure_days([day])
    owner.execute(f"DROP TABLE event_{day:%Y%m%d}")
    if retried:
        # What was there already is met before the partition that is gone.
        monkeypatch.setattr(write, "copy", _unique)
    answer = program.send(*([first] if retried else []), second, historical=True)
    assert codes(answer)[-1] == ("stored", None)
    assert answer["duplicate"] == int(retried)


def _unique(rows: Any) -> None:
    raise psycopg.errors.UniqueViolation


def waiting_at_the_lock(program: Program, owner: psycopg.Connection, change: str) -> Any:
    """A batch's answer, where `change` was done while it waited for the subject's consent."""
    program.decide("alice")
    sent = event("alice", "e1")
    with owner.transaction():
        owner.execute("SELECT FROM consent_state FOR UPDATE")
        batch = Caller(lambda: program.send(sent))
        wait_for_waiters(owner, 1)
        owner.execute(change)
    return batch.result()


def test_the_gates_now_is_later_than_what_its_lock_waited_for(program: Program, owner: psycopg.Connection) -> None:
    """A clock read before the lock, or by the locking statement, would still find the grant in force."""
    answer = waiting_at_the_lock(program, owner, "UPDATE consent_state SET grant_until = clock_timestamp()")
    assert codes(answer) == [("refused", "consent_expired")]


@pytest.mark.parametrize(
    "change",
    [
        "UPDATE event_type SET status = 'retired'",
        "UPDATE purpose SET active = false",
    ],
)
def test_part_a_of_the_predicate_is_read_under_the_lock(
    program: Program, owner: psycopg.Connection, change: str
) -> None:
    answer = waiting_at_the_lock(program, owner, change)
    assert codes(answer) == [("refused", "unknown_event")]
    assert answer["results"][0]["pointer"] == "/events/0/name"
    assert stored(owner) == []


def test_categories_are_read_under_the_lock(program: Program, owner: psycopg.Connection) -> None:
    answer = waiting_at_the_lock(program, owner, "UPDATE event_type SET categories = '{behaviour,health}'")
    assert codes(answer) == [("refused", "outside_consent")]


@pytest.fixture
def without_indexes(owner: psycopg.Connection) -> Iterator[None]:
    """New sessions read rows as they lie in the table."""
    name = sql.Identifier(owner.info.dbname)
    paths = ("enable_indexscan", "enable_bitmapscan")
    for path in paths:
        owner.execute(sql.SQL("ALTER DATABASE {} SET {} TO off").format(name, sql.Identifier(path)))
    yield
    for path in paths:
        owner.execute(sql.SQL("ALTER DATABASE {} RESET {}").format(name, sql.Identifier(path)))


def test_consents_are_locked_in_key_order(program: Program, owner: psycopg.Connection, without_indexes: None) -> None:
    """Bob's row lies before Alice's, and is held: the batch that waits for it must hold hers already."""
    for person in ("alice", "bob", "alice"):
        program.decide(person)
    alice, bob = (row[0] for row in owner.execute("SELECT subject_id FROM subject ORDER BY 1").fetchall())
    with owner.transaction():
        owner.execute("SELECT FROM consent_state WHERE subject_id = %s FOR UPDATE", [bob])
        batch = Caller(lambda: program.send(event("alice", "e1"), event("bob", "e1")))
        wait_for_waiters(owner, 1)
        with pytest.raises(psycopg.errors.LockNotAvailable), owner.transaction():
            owner.execute("SELECT FROM consent_state WHERE subject_id = %s FOR UPDATE NOWAIT", [alice])
    assert batch.result()["stored"] == 2
