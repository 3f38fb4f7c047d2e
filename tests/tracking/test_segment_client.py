"""Segment's own client against a running server: backends change their host and nothing else."""

import logging
import os
import re
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import psycopg
import pytest
from segment.analytics.client import Client
from segment.analytics.request import APIError

from tests.cast import Program, now
from tests.journeys.server import Server, serving
from tests.stack import ROOT

PATIENCE_S = 20.0


@pytest.fixture(scope="module")
def server(migrated: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with pytest.MonkeyPatch.context() as patch, serving(tmp_path_factory.mktemp("server")) as started:
        # A proxy would look for its own 127.0.0.1.
        patch.setenv("NO_PROXY", "127.0.0.1")
        yield started


class Backend:
    """What it told its users of, and the client it tells with."""

    def __init__(self, server: Server, key: str, **how: Any) -> None:
        self.failed: list[tuple[APIError, Any]] = []
        self.client = Client(
            key, host=server.base_url, on_error=lambda error, batch: self.failed.append((error, batch)),
            upload_interval=0.1, **how,
        )  # fmt: skip


def consenting(program: Program) -> None:
    """Since a minute ago: the client's times are cut to milliseconds, which may reach back before an act of just now."""
    since = (now() - timedelta(minutes=1)).isoformat()
    for openid in ("alice", "bob"):
        program.decide(openid, occurred_at=since)
        program.decide(openid, purpose="personalisation", occurred_at=since)


def events(owner: psycopg.Connection) -> list[Any]:
    return owner.execute(
        "SELECT t.name, p.path, e.properties, e.context FROM event e JOIN event_type t ON t.id = e.type_id"
        " LEFT JOIN page p ON p.id = e.page_id ORDER BY t.name, p.path"
    ).fetchall()


def count(owner: psycopg.Connection, table: str) -> int:
    row = owner.execute(f"SELECT count(*) FROM {table}".encode()).fetchone()
    assert row is not None
    return int(row[0])


def wait_until(true: Callable[[], bool]) -> None:
    deadline = time.monotonic() + PATIENCE_S
    while not true():
        assert time.monotonic() < deadline
        time.sleep(0.02)


@pytest.mark.parametrize("how", [{"sync_mode": True}, {}, {"gzip": True}, {"sync_mode": True, "gzip": True}], ids=str)
def test_every_call_of_the_client_arrives(
    server: Server, program: Program, owner: psycopg.Connection, how: dict[str, Any]
) -> None:
    consenting(program)
    backend = Backend(server, program.key, **how)
    client = backend.client
    client.identify("u-1", {"city": "杭州"}, anonymous_id="alice")
    client.track("u-1", "Payment", {"amount": 12.5}, context={"os": {"name": "iOS"}, "ip": "203.0.113.7"})
    client.page("u-1", "Shop", "Goods", {"url": "https://shop.example/goods?q=shoes", "referrer": "https://x.example/"})
    client.screen(anonymous_id="alice", name="pages/index")
    client.track(anonymous_id="alice", event="search", timestamp=now(), message_id="m-1")
    if not client.sync_mode:
        client.shutdown()
    assert events(owner) == [
        ("page_view", "/goods", None, None),
        ("page_view", "pages/index", None, None),
        ("payment", None, {"amount": 12.5}, {"os": "iOS"}),
        ("search", None, None, None),
    ]
    assert owner.execute("SELECT count(DISTINCT subject_id) FROM event").fetchone() == (1,)
    assert owner.execute("SELECT name FROM profile_attribute").fetchall() == [("city",)]
    assert not backend.failed


def test_nothing_of_somebody_who_withdrew_is_stored(
    server: Server, program: Program, owner: psycopg.Connection
) -> None:
    consenting(program)
    for purpose in ("analytics", "personalisation"):
        program.decide("alice", "withdrawn", purpose=purpose)
    before = count(owner, "subject_identifier")
    backend = Backend(server, program.key)
    for openid in ("alice", "nobody", "bob"):
        backend.client.identify("u-" + openid, {"city": "x"}, anonymous_id=openid)
        backend.client.track(anonymous_id=openid, event="search")
        backend.client.page(anonymous_id=openid, name="pages/" + openid)
        backend.client.screen(anonymous_id=openid, name="screens/" + openid)
    backend.client.alias("alice", "u-1")
    backend.client.group("u-1", "g-1", {"employees": 7})
    backend.client.shutdown()
    assert [row[:2] for row in events(owner)] == [
        ("page_view", "pages/bob"), ("page_view", "screens/bob"), ("search", None),
    ]  # fmt: skip
    assert (count(owner, "profile_attribute"), count(owner, "subject_identifier")) == (1, before + 1)
    assert not backend.failed


def test_it_sends_again_what_was_answered_503_and_nothing_is_there_twice(
    server: Server, program: Program, owner: psycopg.Connection, caplog: pytest.LogCaptureFixture
) -> None:
    """While bob's withdrawal is under way the batch is a 503, though alice's events in it are stored."""
    caplog.set_level(logging.DEBUG, "segment")
    consenting(program)
    owner.execute(
        "INSERT INTO withdrawal_intent (subject_id, purpose_id, program_id)"
        " SELECT max(subject_id), min(purpose_id), program_id FROM consent_state GROUP BY program_id"
    )
    backend = Backend(server, program.key)
    for place in range(250):
        backend.client.track(anonymous_id=("alice", "bob")[place % 2], event="search")
    flushing = threading.Thread(target=backend.client.flush, daemon=True)
    flushing.start()
    wait_until(lambda: "Rate-limited" in caplog.text)
    assert 0 < count(owner, "event") < 250
    assert owner.execute("SELECT count(DISTINCT subject_id) FROM event").fetchone() == (1,)
    owner.execute("DELETE FROM withdrawal_intent")
    flushing.join(PATIENCE_S)
    assert not flushing.is_alive()
    backend.client.join()
    assert count(owner, "event") == 250
    assert not backend.failed


def test_a_server_that_comes_back_loses_and_doubles_nothing(
    server: Server, program: Program, owner: psycopg.Connection
) -> None:
    consenting(program)
    backend = Backend(server, program.key)
    backend.client.track(anonymous_id="alice", event="search")
    backend.client.flush()
    server.kill()
    for _ in range(5):
        backend.client.track(anonymous_id="alice", event="search")
    time.sleep(0.3)
    server.start()
    backend.client.shutdown()
    assert count(owner, "event") == 6
    assert not backend.failed


def test_a_wrong_key_is_told_at_once_and_never_repeated(server: Server, program: Program) -> None:
    consenting(program)
    key = program.key[:-1] + ("0" if program.key[-1] != "0" else "1")
    backend = Backend(server, key)
    backend.client.track(anonymous_id="alice", event="search")
    backend.client.shutdown()
    ((error, batch),) = backend.failed
    assert (error.status, len(batch)) == (401, 1)
    assert "unauthenticated" in str(error)
    assert key not in str(error)
    with pytest.raises(APIError):
        Backend(server, key, sync_mode=True).client.track(anonymous_id="alice", event="search")
    assert key.rpartition("_")[2] not in server.log.read_text()


def test_the_example_of_the_documentation_works(
    server: Server, program: Program, owner: psycopg.Connection, tmp_path: Path
) -> None:
    since = (now() - timedelta(minutes=1)).isoformat()
    program.decide("o-demo", occurred_at=since)
    program.decide("o-demo", purpose="personalisation", occurred_at=since)
    page = (ROOT / "docs" / "segment.md").read_text()
    (example,) = re.findall(r"```python\n(.+?)```", page, re.DOTALL)
    assert "http://127.0.0.1:8000" in example
    (tmp_path / "example.py").write_text(example.replace("http://127.0.0.1:8000", server.base_url))
    done = subprocess.run(
        [sys.executable, str(tmp_path / "example.py")],
        env={**os.environ, "KEY": program.key}, capture_output=True, text=True, timeout=60, check=True,
    )  # fmt: skip
    assert (done.stdout, done.stderr) == ("", "")
    assert [row[:2] for row in events(owner)] == [("add_to_cart", None), ("page_view", "pages/index")]
    assert owner.execute("SELECT name FROM profile_attribute").fetchall() == [("city",)]
