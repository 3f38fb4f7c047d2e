"""I5 with workers and beat as operators start them, and the leases they have: a request ends by itself, whatever happens to
a worker, Redis, PostgreSQL or the disk. What happens at each single step is in test_matrix.
"""

import os
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any, LiteralString

import psycopg
import pytest
import redis
from django.db import connection

from consent.rights import tasks
from tests import stack
from tests.cast import Program
from tests.consent.rights import Working, file, lively, overdue, shown
from tests.faults.injected import PackageStore, restart, waits
from tests.faults.scenarios import Scenario, connect, prepare, undisturbed, unfinished

PATIENCE = 120.0
"""Seconds; of them 30 may be a lease."""


def kill(process: subprocess.Popen[bytes]) -> None:
    """kill -9 of the worker and of what it started."""
    if process.poll() is None:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait(10)


def wait_for(what: str, ready: Callable[[], bool]) -> None:
    deadline = time.monotonic() + PATIENCE
    while not ready():
        assert time.monotonic() < deadline, f"{what} takes longer than {PATIENCE} s"
        time.sleep(0.1)


@contextmanager
def held_up(table: LiteralString) -> Iterator[None]:
    """Whoever deletes a row of the table hangs in the middle of it."""
    with psycopg.connect(os.environ["DATABASE_OWNER_URL"]) as holding:
        holding.execute(f"SELECT FROM {table} FOR UPDATE")
        yield


def count(owner: psycopg.Connection, table: LiteralString) -> int:
    row = owner.execute(f"SELECT count(*) FROM {table}").fetchone()
    assert row is not None
    return int(row[0])


def ended(program: Program, filed: Any) -> Callable[[], bool]:
    return lambda: shown(program, filed)["state"] == "completed"


@pytest.mark.long
def test_a_worker_killed_in_the_middle_of_an_erasure_is_replaced(
    program: Program,
    owner: psycopg.Connection,
    broker: redis.Redis,
    start_worker: Callable[[], subprocess.Popen[bytes]],
) -> None:
    lively(program)
    lively(program, "bob")
    # Three or four each, by the hour.
    days = count(owner, "subject_day")
    filed = file(program, "erasure")
    with held_up("profile_attribute"):
        overdue(owner)
        worker = start_worker()
        wait_for("the erasure's middle", lambda: waits(owner))
        kill(worker)
        # The dead worker's database session is still waiting; what it does then, nobody commits.
        assert shown(program, filed)["state"] == "in_progress"
        assert (count(owner, "subject_day"), count(owner, "profile_attribute")) == (days // 2, 4)
    start_worker()
    wait_for("the new worker", ended(program, filed))
    assert (count(owner, "subject"), count(owner, "data_key"), count(owner, "profile_attribute")) == (1, 1, 2)
    assert {holder["status"] for holder in shown(program, filed)["holders"]} == {"done"}


def test_a_worker_killed_in_the_middle_of_a_withdrawals_erasure_is_replaced(
    program: Program,
    owner: psycopg.Connection,
    broker: redis.Redis,
    start_worker: Callable[[], subprocess.Popen[bytes]],
) -> None:
    """Nothing was ever sent to Redis about it: beat looks for what is owed."""
    lively(program)
    lively(program, "bob")
    for purpose in ("analytics", "personalisation"):
        program.decide("alice", "withdrawn", purpose=purpose)
    with held_up("profile_attribute"):
        worker = start_worker()
        wait_for("the erasure's middle", lambda: waits(owner))
        kill(worker)
        assert count(owner, "profile_attribute") == 4
    broker.flushdb()
    start_worker()
    wait_for("the new worker", lambda: count(owner, "purpose_erasure WHERE done_at IS NOT NULL") == 2)
    assert (count(owner, "event"), count(owner, "profile_attribute")) == (6, 2)


def test_a_flushed_redis_loses_no_request(
    program: Program,
    owner: psycopg.Connection,
    broker: redis.Redis,
    start_worker: Callable[[], subprocess.Popen[bytes]],
) -> None:
    """The hint is lost before there is a worker, then everything in the middle of an erasure."""
    lively(program)
    access = file(program, "access")
    assert broker.dbsize()
    broker.flushdb()
    start_worker()
    wait_for("the access", ended(program, access))
    filed = file(program, "erasure")
    with held_up("consent_record"):
        overdue(owner)
        wait_for("the erasure's middle", lambda: waits(owner))
        broker.flushdb()
    wait_for("the erasure", ended(program, filed))
    broker.flushdb()
    lively(program, "bob")
    wait_for("what comes after", ended(program, file(program, "access", "bob")))
    assert count(owner, "subject") == 1


@pytest.mark.longest
def test_postgresql_restarted_in_the_middle_of_an_erasure(
    program: Program, as_worker: Working, start_worker: Callable[[], subprocess.Popen[bytes]]
) -> None:
    if stack.services is None:
        pytest.skip("only the embedded PostgreSQL is restarted")
    case = prepare(program, as_worker, Scenario("erasure"), "alice")
    with suppress(psycopg.OperationalError), held_up("profile_attribute"):
        start_worker()
        with connect() as owner:
            wait_for("the erasure's middle", lambda: waits(owner))
        restart(stack.services)
    connection.close()
    wait_for("the erasure", lambda: case.state() == "completed")
    undisturbed(case)


@pytest.mark.longest
def test_a_package_store_that_is_full_for_a_while(
    program: Program,
    as_worker: Working,
    store: PackageStore,
    broker: redis.Redis,
    start_worker: Callable[[], subprocess.Popen[bytes]],
) -> None:
    case = prepare(program, as_worker, Scenario("access"), "alice")
    store.fill()
    try:
        start_worker()
        wait_for("the full store", lambda: ("pending", "database_53100") in unfinished(case))
    finally:
        store.make_room()
    wait_for("the access", lambda: case.state() == "completed")
    undisturbed(case)


@pytest.mark.longest
@pytest.mark.parametrize("kind", ["erasure", "access"])
def test_two_workers_with_the_same_hints(
    program: Program,
    as_worker: Working,
    broker: redis.Redis,
    start_worker: Callable[[], subprocess.Popen[bytes]],
    kind: str,
) -> None:
    case = prepare(program, as_worker, Scenario(kind), "alice")
    for _ in range(8):
        tasks.hint(case.request_id)
    start_worker()
    start_worker()
    wait_for("the request", lambda: case.state() == "completed")
    undisturbed(case)
