"""I2 with a thousand calls in flight: whatever waits at four web processes, nothing becomes visible after an acknowledgement."""

import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx
import psycopg
import pytest

from tests.cast import Program
from tests.journeys.server import Server, serving
from tests.tracking.barrier_burst import Burst, clients
from tests.tracking.barrier_load import Ending, Withdrawer, stored, withdraw, without_lock
from tests.tracking.barrier_load import owner as database
from tests.tracking.test_barrier_load import consented, gate_kept

IN_FLIGHT = 1000
EVENTS_A_CALL = 8
SUBJECTS = 12
ENDINGS = 40
CARRIED_OUT = 150
"""Calls, at least. What four processes cannot take within 5 s is told to come back: a slow machine needs another burst."""
IN_THE_MIDDLE = 20
"""Endings, at least, that are acknowledged after the first and before the last call that is carried out."""
MORE_BURSTS = 6
STALL_S, REST_S = 0.5, 0.5
PATIENCE_S = 60.0


@dataclass
class Run:
    """What came of a burst, and of the endings amid it."""

    burst: Burst
    endings: list[Ending]

    @property
    def leaks(self) -> list[Ending]:
        return [ending for ending in self.endings if ending.leaked]

    def in_the_middle(self) -> int:
        answered = [call.answered for call in self.burst.carried_out()]
        return sum(min(answered) < ending.acknowledged < max(answered) for ending in self.endings)

    def report(self) -> str:
        return (
            f"{self.burst.at_once()} calls in flight, answered {dict(self.burst.answers())}, their events"
            f" {dict(self.burst.events())}; {len(self.endings)} endings, {self.in_the_middle()} in the middle,"
            f" {len(self.leaks)} leaked"
        )


def connections(owner: psycopg.Connection) -> int:
    """How many the application's login has."""
    row = owner.execute(
        "SELECT count(*) FROM pg_stat_activity WHERE usename = 'zhiqing_app' AND datname = current_database()"
    ).fetchone()
    assert row is not None
    return int(row[0])


@contextmanager
def both(folder: Path, owner: psycopg.Connection) -> Iterator[tuple[Server, Server]]:
    """`web` with four processes and `office` with two, each of which has answered and so holds a connection."""
    wanted = connections(owner) + 6
    with serving(folder) as web, serving(folder, "office.log", workers=2) as office:
        asked = [f"{server.base_url}/readyz" for server in (web, office)] * 16
        deadline = time.monotonic() + PATIENCE_S
        with ThreadPoolExecutor(len(asked)) as callers, httpx.Client(trust_env=False, timeout=PATIENCE_S) as client:
            while connections(owner) < wanted and time.monotonic() < deadline:
                list(callers.map(client.get, asked))
        assert connections(owner) == wanted
        yield web, office


@contextmanager
def stalls() -> Iterator[None]:
    """Again and again nothing can write an event for STALL_S, as when a disk is busy: longer than a withdrawal takes.

    Calls that have passed the gate stand before their INSERT then; a withdrawal that did not wait for them would be
    acknowledged, and their events come after it.
    """
    ended = threading.Event()

    def stall() -> None:
        with database() as connection:
            while not ended.wait(REST_S):
                with connection.transaction():
                    connection.execute("LOCK TABLE event IN SHARE MODE")
                    ended.wait(STALL_S)

    with ThreadPoolExecutor(1) as pool:
        stalling = pool.submit(stall)
        try:
            yield
        finally:
            ended.set()
        stalling.result()


def run(web: Server, office: Server, program: Program, owner: psycopg.Connection, name: str) -> Run:
    """All calls lie with `web` before it takes the first; while it works on them `office` takes what ends grants."""
    subjects = [f"{name}-hot-{number}" for number in range(SUBJECTS)]
    consented(program, owner, subjects)
    withdrawers = [
        Withdrawer(
            office.base_url,
            program.key,
            program.notice,
            share,
            rounds=ENDINGS // 2,
            lag=2,
            pause_s=0,
            every_erasure=5,
        )
        for share in (subjects[::2], subjects[1::2])
    ]
    server = (web.port, program.key)
    with clients(server, name, subjects, calls=IN_FLIGHT, batch=EVENTS_A_CALL) as sending:
        with web.paused():
            sending.send()
        with stalls():
            endings = withdraw(withdrawers)
        burst = sending.burst()
    for ending in (ending for withdrawer in withdrawers for ending in withdrawer.left):
        ending.again = stored(owner, ending.openid)
    done = Run(burst, endings)
    print(done.report())  # noqa: T201  for `pytest -rP`
    return done


def calls_stored(owner: psycopg.Connection, name: str) -> dict[str, int]:
    """How many events there are of each call of a burst."""
    rows = owner.execute(
        "SELECT regexp_replace(event_id, '-[0-9]+$', ''), count(*) FROM event WHERE event_id LIKE %s GROUP BY 1",
        [f"{name}-c%"],
    ).fetchall()
    return dict(rows)


def checked(run: Run, owner: psycopg.Connection, name: str) -> None:
    assert run.leaks == []
    assert len(run.endings) == ENDINGS
    assert all(ending.again is not None for ending in run.endings)
    assert {ending.kind for ending in run.endings} == {"withdrawal", "erasure"}
    # A thousand at once, and what was answered is what there is: nothing of the calls that were told to come back.
    assert run.burst.at_once() == IN_FLIGHT
    assert set(run.burst.answers()) <= {"200", "overloaded"}
    assert calls_stored(owner, name) == {call.name: call.stored for call in run.burst.calls if call.stored}
    # Calls met open gates and closed ones.
    assert run.burst.events()["stored"] and run.burst.events()["refused"]


@pytest.mark.long
@pytest.mark.parametrize("bursts", [1, pytest.param(20, marks=pytest.mark.longest)])
def test_nothing_becomes_visible_after_an_acknowledgement_amid_a_thousand_calls(
    program: Program, owner: psycopg.Connection, tmp_path: Path, bursts: int
) -> None:
    carried_out = in_the_middle = done = 0
    with both(tmp_path, owner) as (web, office):
        while done < bursts or min(carried_out / CARRIED_OUT, in_the_middle / IN_THE_MIDDLE) < 1:
            assert done < bursts + MORE_BURSTS, f"{carried_out} calls carried out, {in_the_middle} endings among them"
            name = f"b{done}"
            ran = run(web, office, program, owner, name)
            checked(ran, owner, name)
            carried_out += len(ran.burst.carried_out())
            in_the_middle += ran.in_the_middle()
            done += 1
    gate_kept(owner)


@pytest.mark.longest
def test_the_same_burst_finds_a_gate_without_its_lock(
    program: Program, owner: psycopg.Connection, tmp_path: Path
) -> None:
    """A test of the test, as that of test_barrier_load.py."""
    with without_lock(tmp_path), both(tmp_path, owner) as (web, office):
        runs = (run(web, office, program, owner, f"b{number}") for number in range(10))
        assert any(done.leaks for done in runs)
    assert "the lock is out" in web.log.read_text()
