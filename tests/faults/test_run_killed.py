"""A report that is made in the background survives its worker, and a cancelled one ends a real worker's statement."""

import os
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import psycopg
import pytest
import redis

from tests.cast import Program
from tests.faults.test_worker_killed import kill, wait_for

ASKED = {"metric": "activity", "range": "last_7_days"}


@contextmanager
def held_up() -> Iterator[None]:
    """Whoever looks for what stands of a report hangs in the middle of it."""
    with psycopg.connect(os.environ["DATABASE_OWNER_URL"]) as holding:
        holding.execute("LOCK TABLE frozen_line IN ACCESS EXCLUSIVE MODE")
        yield


def waits(owner: psycopg.Connection) -> bool:
    waiting = "SELECT FROM pg_locks WHERE NOT granted AND relation = 'frozen_line'::regclass"
    return owner.execute(waiting).fetchone() is not None


def state(program: Program, run: Any) -> str:
    return str(program.get(f"report-runs/{run['id']}").json()["state"])


@pytest.fixture
def asked(program: Program, broker: redis.Redis) -> Any:
    response = program.post("report-runs", ASKED)
    assert response.status_code == 202, response.content
    return response.json()


@pytest.mark.long
def test_a_worker_killed_in_the_middle_of_a_run_is_replaced(
    program: Program, owner: psycopg.Connection, asked: Any, start_worker: Callable[[], subprocess.Popen[bytes]]
) -> None:
    with held_up():
        worker = start_worker()
        wait_for("the run's middle", lambda: waits(owner))
        kill(worker)
        assert state(program, asked) == "running"
        # Its session ends although what it waits for does not come: the next one needs its place.
        wait_for("the end of the dead worker's session", lambda: not waits(owner))
    # Its lease is over sooner than in half a minute.
    owner.execute("UPDATE report_run SET lease_until = now()")
    start_worker()
    wait_for("the new worker", lambda: state(program, asked) == "done")
    assert owner.execute("SELECT attempts FROM report_run").fetchone() == (2,)


def test_a_cancelled_run_ends_a_real_workers_statement(
    program: Program, owner: psycopg.Connection, asked: Any, start_worker: Callable[[], subprocess.Popen[bytes]]
) -> None:
    with held_up():
        start_worker()
        wait_for("the run's middle", lambda: waits(owner))
        program.call("POST", f"report-runs/{asked['id']}/cancel")
        wait_for("the statement's end", lambda: not waits(owner))
    assert state(program, asked) == "cancelled"
    again = program.post("report-runs", ASKED).json()
    wait_for("the next run", lambda: state(program, again) == "done")
