"""I2: once a withdrawal is acknowledged, nothing of that subject becomes visible afterwards, whatever was in flight."""

import os
import threading
import time
from collections.abc import Callable
from typing import Any

import psycopg
from django.db import connection

from tests.cast import Program, event


class Caller(threading.Thread):
    """A call on a thread of its own, with its answer."""

    def __init__(self, call: Callable[[], Any]) -> None:
        super().__init__(daemon=True)
        self._call = call
        self.answer: Any = None
        self.start()

    def run(self) -> None:
        try:
            self.answer = self._call()
        finally:
            connection.close()

    def result(self) -> Any:
        self.join(10)
        assert not self.is_alive()
        return self.answer


def wait_for_waiters(owner: psycopg.Connection, count: int) -> None:
    deadline = time.monotonic() + 2
    while True:
        row = owner.execute("SELECT count(DISTINCT pid) FROM pg_locks WHERE NOT granted").fetchone()
        if row is not None and row[0] >= count:
            return
        assert time.monotonic() < deadline, f"fewer than {count} transactions wait for a lock"
        time.sleep(0.01)


def stored(owner: psycopg.Connection) -> list[Any]:
    return owner.execute("SELECT event_id FROM event ORDER BY 1").fetchall()


def test_a_withdrawal_waits_for_the_batch_in_flight(program: Program, owner: psycopg.Connection) -> None:
    """The batch has passed the gate and hangs before its write; without the gate's lock the withdrawal would pass it."""
    program.decide("alice")
    program.send(event("alice", "e0"))
    with owner.transaction():
        owner.execute("LOCK TABLE page IN EXCLUSIVE MODE")
        batch = Caller(lambda: program.send(event("alice", "e1", page="pages/new")))
        wait_for_waiters(owner, 1)
        withdrawal = Caller(lambda: program.decide("alice", "withdrawn"))
        wait_for_waiters(owner, 2)
        # Its intent is there already, so a batch that begins now steps aside at once.
        assert program.send(event("alice", "e2"))["results"][0]["code"] == "consent_changing"
        assert withdrawal.is_alive()
    assert batch.result()["stored"] == 1
    assert withdrawal.result()["records"][0]["state"] == "withdrawn"
    assert stored(owner) == [("e0",), ("e1",)]
    assert program.send(event("alice", "e3"))["results"][0]["code"] == "consent_withdrawn"


def test_a_batch_waits_for_the_withdrawal_in_flight(program: Program, owner: psycopg.Connection) -> None:
    """The withdrawal holds the state and hangs before its commit; the batch decides on what it commits."""
    program.decide("alice")
    with owner.transaction():
        owner.execute("LOCK TABLE leaf IN EXCLUSIVE MODE")
        withdrawal = Caller(lambda: program.decide("alice", "withdrawn"))
        wait_for_waiters(owner, 1)
        # As if the intent had not been seen: the lock alone has to do.
        with psycopg.connect(os.environ["DATABASE_OWNER_URL"]) as another:
            another.execute("DELETE FROM withdrawal_intent")
        batch = Caller(lambda: program.send(event("alice", "e1")))
        wait_for_waiters(owner, 2)
    assert withdrawal.result()["records"][0]["state"] == "withdrawn"
    assert batch.result()["results"][0]["code"] == "consent_withdrawn"
    assert stored(owner) == []


def test_taking_an_erasure_back_waits_for_the_batch_in_flight_and_for_no_later_one(
    program: Program, owner: psycopg.Connection
) -> None:
    program.decide("alice")
    filed = program.post("requests", {"subject": {"openid": "alice"}, "kind": "erasure", "locale": "en"}).json()
    undo = f"requests/{filed['request_id']}/withdraw"
    with owner.transaction():
        owner.execute("SELECT FROM consent_state FOR SHARE")
        taking_back = Caller(lambda: program.post(undo, {}))
        wait_for_waiters(owner, 1)
        assert program.send(event("alice", "e1"))["results"][0]["code"] == "consent_changing"
    assert taking_back.result().json()["state"] == "withdrawn"
    assert program.send(event("alice", "e2"))["stored"] == 1
    assert program.post(undo, {}).status_code == 200
    assert program.send(event("alice", "e3"))["stored"] == 1
