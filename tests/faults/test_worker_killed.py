"""I5: a request ends by itself, wherever the worker dies and whatever Redis forgets."""

import os
import signal
import subprocess
import sys
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any, LiteralString

import psycopg
import pytest
import redis

from consent import edge
from consent.rights import erasure, fulfilment, runs
from tests.cast import Program
from tests.consent.rights import KEPT, Working, file, lively, overdue, package_of, sections, shown
from tests.stack import ROOT

PATIENCE = 55.0


@pytest.fixture
def broker() -> redis.Redis:
    """The tests' Redis, emptied."""
    connected: redis.Redis = redis.Redis.from_url(os.environ["REDIS_URL"])
    connected.flushdb()
    return connected


@pytest.fixture
def start_worker(tmp_path: Path) -> Iterator[Callable[[], subprocess.Popen[bytes]]]:
    """Starts a Celery worker with its beat, in a process group of its own; all are killed at the end."""
    started: list[subprocess.Popen[bytes]] = []

    def start() -> subprocess.Popen[bytes]:
        with (tmp_path / "worker.log").open("ab") as log:
            process = subprocess.Popen(
                [
                    sys.executable, "-m", "celery", "-A", "config.celery", "worker", "-B", "-c", "1",
                    "--schedule", str(tmp_path / f"beat-{len(started)}"), "--loglevel", "INFO",
                ],
                env={**os.environ, "ZHIQING_ROLE": "worker", "ZHIQING_SWEEP_SECONDS": "1"},
                cwd=ROOT,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )  # fmt: skip
        started.append(process)
        return process

    yield start
    for process in started:
        kill(process)


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


def hangs(owner: psycopg.Connection) -> bool:
    """Whether somebody waits for a row; autovacuum may wait for a table."""
    waiting = "SELECT FROM pg_locks WHERE NOT granted AND locktype IN ('transactionid', 'tuple')"
    return owner.execute(waiting).fetchone() is not None


def count(owner: psycopg.Connection, table: LiteralString) -> int:
    row = owner.execute(f"SELECT count(*) FROM {table}").fetchone()
    assert row is not None
    return int(row[0])


def ended(program: Program, filed: Any) -> Callable[[], bool]:
    return lambda: shown(program, filed)["state"] == "completed"


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
        wait_for("the erasure's middle", lambda: hangs(owner))
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
        wait_for("the erasure's middle", lambda: hangs(owner))
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
        wait_for("the erasure's middle", lambda: hangs(owner))
        broker.flushdb()
    wait_for("the erasure", ended(program, filed))
    broker.flushdb()
    lively(program, "bob")
    wait_for("what comes after", ended(program, file(program, "access", "bob")))
    assert count(owner, "subject") == 1


# --- The same at every step, without the wait for a lease ------------------------------------------------------------


class Killed(BaseException):
    """Ends a worker as kill -9 does: nothing after it is run, and nothing that is not committed stays."""


@contextmanager
def dying(monkeypatch: pytest.MonkeyPatch, at: int, *, committed: bool) -> Iterator[list[int]]:
    """Die at the transaction with this number, just before its commit or just after; yields how many there were."""
    begun = [0]

    def wrap(tenant: Callable[[int], AbstractContextManager[None]]) -> Callable[[int], AbstractContextManager[None]]:
        @contextmanager
        def counted(program_id: int) -> Iterator[None]:
            begun[0] += 1
            number = begun[0]
            with tenant(program_id):
                yield
                if number == at and not committed:
                    raise Killed
            if number == at and committed:
                raise Killed

        return counted

    with monkeypatch.context() as patched:
        for module in (runs, erasure, fulfilment):
            patched.setattr(module, "tenant", wrap(module.tenant))
        patched.setattr(fulfilment, "ERASE_LIMIT", 2)
        yield begun


def attempt(program: Program, filed: Any) -> None:
    """With leases that are over at once, so that the next worker need not wait."""
    fulfilment.fulfil(
        vault=edge.vault(),
        program_id=program.id,
        request_id=uuid.UUID(filed["request_id"]),
        package_kept=KEPT,
        lease=timedelta(0),
    )


@pytest.mark.parametrize("every", [4, pytest.param(1, marks=pytest.mark.long)])
@pytest.mark.parametrize("committed", [False, True], ids=["before its commit", "after its commit"])
@pytest.mark.parametrize("kind", ["erasure", "access", "rectification"])
def test_a_worker_may_die_at_any_step(
    program: Program,
    owner: psycopg.Connection,
    as_worker: Working,
    monkeypatch: pytest.MonkeyPatch,
    kind: str,
    committed: bool,
    every: int,
) -> None:
    """At each step, or at one of so many."""
    at, finished = 1 - every, False
    changes: Any = {"attributes": {"city": "苏州"}, "identifiers": {"unionid": "u"}}
    while not finished:
        at += every
        lively(program)
        filed = file(program, kind, changes=changes if kind == "rectification" else None)
        overdue(owner)
        with as_worker():
            with dying(monkeypatch, at, committed=committed) as begun:
                try:
                    attempt(program, filed)
                    finished = begun[0] < at
                except Killed:
                    pass
            attempt(program, filed)
        assert shown(program, filed)["state"] == "completed", f"died at transaction {at}"
        if kind == "access":
            found = sections(package_of(program, filed))
            assert (len(found["events"]), len(found["attributes"])) == (6, 2)
        if kind == "rectification":
            assert count(owner, "subject_identifier") == 2
        if kind != "erasure":
            erase = file(program, "erasure")
            overdue(owner)
            with as_worker():
                attempt(program, erase)
        assert [count(owner, table) for table in ("event", "consent_record", "request_subject", "subject")] == [0] * 4
    assert at > 10
