"""Rotations beside those who work: killed in the midst and run again, while people come, are erased, and change."""

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import psycopg
import pytest
from django.db import connection

from consent import edge
from consent.programs.tenancy import tenant
from consent.vault import identities, keyring
from consent.vault.models import Subject
from consent.vault.store import FileStore
from tests.cast import Program, event, make_program
from tests.consent.rights import Working, file, overdue, work
from tests.consent.rotating import FIRST, INDEX, KEY_ENCRYPTION, a_day_later, keys, refused
from tests.consent.signed import Ring
from tests.journeys.server import Server
from tests.stack import ROOT

pytestmark = pytest.mark.long
PEOPLE = 60


@pytest.fixture
def crowd(own_ring: Ring, database: None, owner: psycopg.Connection) -> Program:
    owner.execute(FIRST)
    program = make_program()
    for number in range(PEOPLE):
        program.decide(f"p{number}")
    return program


def started(ring: Ring, *arguments: str) -> subprocess.Popen[bytes]:
    """`keys` in a process of its own."""
    return subprocess.Popen(
        [sys.executable, str(ROOT / "manage.py"), "keys", *arguments],
        env={**os.environ, "ZHIQING_ROLE": "worker", "ZHIQING_KEYRING_FILE": str(ring.path)},
        cwd=ROOT,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )


def count(owner: psycopg.Connection, statement: str) -> int:
    row = owner.execute(statement).fetchone()
    assert row is not None
    return int(row[0])


def killed(owner: psycopg.Connection, process: subprocess.Popen[bytes], done: str) -> int:
    """SIGKILL once `done` counts some; answers how many."""
    deadline = time.monotonic() + 60
    while count(owner, done) < 10:
        assert time.monotonic() < deadline and process.poll() is None
        time.sleep(0.02)
    os.killpg(process.pid, signal.SIGKILL)
    process.wait(30)
    return count(owner, done)


class Others:
    """People come, name themselves by more, send events and are erased, all the while."""

    def __init__(self, program: Program, as_worker: Working) -> None:
        self._over, self._program = threading.Event(), program
        self._threads = [threading.Thread(target=self._run, args=(act,)) for act in (self._come, self._send)]
        self.faults: list[Any] = []

    def _come(self, number: int) -> None:
        self._program.decide(f"n{number}")
        added = {"subject": {"openid": f"p{number % PEOPLE}"}, "add": {"external_id": f"e{number % PEOPLE}"}}
        response = self._program.post("identities", added)
        assert response.status_code in (200, 404, 409), response.content

    def _send(self, number: int) -> None:
        found = self._program.send(event(f"p{number % PEOPLE}", f"e{number}"))
        assert found["stored"] == 1 or number % PEOPLE == PEOPLE - 1, "only the one who is erased"

    def _run(self, act: Callable[[int], None]) -> None:
        number = 0
        try:
            while not self._over.is_set():
                act(number)
                number += 1
        except BaseException as error:
            self.faults.append(error)
        finally:
            connection.close()

    def __enter__(self) -> "Others":
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        for thread in self._threads:
            thread.join()


def whole(program: Program) -> list[str]:
    """Every subject opens, and is found by its openid; nobody is there twice."""
    with tenant(program.id):
        subjects = list(Subject.objects.filter(program_id=program.id))
        openids = [identities.opened(edge.vault(), subject)["openid"] for subject in subjects]
        found = [identities.resolve(edge.vault(), program.id, {"openid": openid}) for openid in openids]
    assert found == [subject.id for subject in subjects]
    assert len(set(openids)) == len(openids)
    return openids


def test_a_rewrapping_that_is_killed_goes_on_beside_others(
    crowd: Program, own_ring: Ring, as_worker: Working, owner: psycopg.Connection
) -> None:
    keys("add", KEY_ENCRYPTION)
    keys("promote", f"{KEY_ENCRYPTION}:2")
    done = "SELECT count(*) FROM data_key WHERE key_version = 2"
    with Others(crowd, as_worker) as others:
        first = killed(owner, started(own_ring, "rewrap", "--batch", "3", "--rate", "10"), done)
        assert count(owner, "SELECT count(*) FROM data_key WHERE key_version = 1") > 0
        gone = file(crowd, "erasure", f"p{PEOPLE - 1}")
        overdue(owner)
        second = started(own_ring, "rewrap", "--batch", "5", "--rate", "40")
        with as_worker():
            work(crowd, gone)
        assert second.wait(60) == 0
    assert others.faults == []
    assert count(owner, "SELECT count(*) FROM data_key WHERE key_version = 1") == 0
    assert 10 <= first < PEOPLE
    keys("retire", f"{KEY_ENCRYPTION}:1")
    keys("retire", f"{KEY_ENCRYPTION}:1", "--destroy", "--now")
    openids = whole(crowd)
    assert f"p{PEOPLE - 1}" not in openids and "p0" in openids and "n0" in openids


def test_a_reindexing_that_is_killed_goes_on_beside_others(
    crowd: Program, own_ring: Ring, as_worker: Working, owner: psycopg.Connection
) -> None:
    keys("add", INDEX)
    keys("promote", f"{INDEX}:2")
    done = "SELECT count(*) FROM subject_lookup WHERE key_version = 2"
    with Others(crowd, as_worker) as others:
        killed(owner, started(own_ring, "reindex", "--batch", "3", "--rate", "10"), done)
        gone = file(crowd, "erasure", f"p{PEOPLE - 1}")
        overdue(owner)
        second = started(own_ring, "reindex", "--batch", "5", "--rate", "40")
        with as_worker():
            work(crowd, gone)
        assert second.wait(60) == 0
        a_day_later(owner)
        keys("retire", f"{INDEX}:1")
        keys("retire", f"{INDEX}:1", "--destroy", "--now")
    assert others.faults == []
    assert count(owner, "SELECT count(*) FROM subject_lookup WHERE key_version = 1") == 0
    openids = whole(crowd)
    assert f"p{PEOPLE - 1}" not in openids and "p0" in openids and "n0" in openids


# --- Real processes ----------------------------------------------------------------------------------------------------


@pytest.fixture
def web(crowd: Program, own_ring: Ring, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    monkeypatch.setenv("ZHIQING_KEYRING_FILE", str(own_ring.path))
    server = Server(tmp_path / "web.log", workers=2)
    server.start()
    yield server
    server.stop()


def test_web_processes_say_what_they_hold_and_take_another_up(
    web: Server, crowd: Program, own_ring: Ring, owner: psycopg.Connection
) -> None:
    live = "SELECT count(*) FROM keyring_process WHERE kind = 'web' AND until > now() AND holds->'index'->'enabled' @> %s::jsonb"

    def wait_for(version: int) -> None:
        deadline = time.monotonic() + 40
        while (row := owner.execute(live, [str(version)]).fetchone()) != (2,):
            assert time.monotonic() < deadline, row
            time.sleep(0.1)

    wait_for(1)
    with web.paused():
        keyring.add_key(FileStore(own_ring.path), INDEX, made=edge.now())
        assert "(web 2)" in refused("promote", f"{INDEX}:2")
    wait_for(2)
    keys("promote", f"{INDEX}:2")
    body = {"subject": {"openid": "late"}, "notice": crowd.notice, "locale": "en", "method": "dialog", "act": "single",
            "decisions": [{"purpose": "analytics", "decision": "given"}]}  # fmt: skip
    headers = {"Authorization": f"Bearer {crowd.key}"}
    response = httpx.post(f"{web.base_url}/api/v1/consents", json=body, headers=headers, trust_env=False)
    assert response.status_code == 201, response.text
    assert owner.execute("SELECT count(*) FROM subject_lookup WHERE key_version = 2").fetchone() == (2,)


def test_worker_processes_say_what_they_hold(database: None, owner: psycopg.Connection) -> None:
    worker = subprocess.Popen(
        [sys.executable, "-m", "celery", "-A", "config.celery", "worker", "--concurrency=2", "--loglevel=error"],
        env={**os.environ, "ZHIQING_ROLE": "worker"},
        cwd=ROOT,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    deadline = time.monotonic() + 60
    try:
        while count(owner, "SELECT count(*) FROM keyring_process WHERE kind = 'worker' AND until > now()") < 2:
            assert time.monotonic() < deadline and worker.poll() is None
            time.sleep(0.1)
    finally:
        os.killpg(worker.pid, signal.SIGKILL)
        worker.wait(30)
