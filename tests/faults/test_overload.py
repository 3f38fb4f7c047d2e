"""More calls than can be carried out: each is answered, told to come back, or not let in, and nothing runs out."""

import contextlib
import json
import os
import random
import signal
import socket
import threading
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import psycopg
import pytest
from django.db import connection

from config.gunicorn import IDLE_S, WAIT_S
from tests.benchmarks.server import web
from tests.cast import Program, event
from tests.faults.serving import _children

Address = tuple[str, int]
BODY_BYTES = 4 * 1024 * 1024
WORKERS = 2
CALLERS = 200
SECONDS = 8.0
PATIENCE_S = 30.0
PROCESS_BYTES = 256 * 1024 * 1024


def batch(program: Program, events: int = 2000) -> bytes:
    """A whole HTTP request with a body as long as may be, of events of one subject."""
    sent = [event("alice", f"e{number}", page="pages/index") for number in range(events)]
    body = json.dumps({"events": sent}).encode()
    return request(program, body + b" " * (BODY_BYTES - len(body)))


def request(
    program: Program, body: bytes, length: int | None = None, method: str = "POST", path: str = "/api/v1/events"
) -> bytes:
    head = (
        f"{method} {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\nConnection: close\r\n"
        f"Authorization: Bearer {program.key}\r\nContent-Length: {length or len(body)}\r\n\r\n"
    )
    return head.encode() + body


def answer(address: Address, sent: bytes) -> tuple[int, dict[str, str], bytes]:
    """(status, headers, body). Raises OSError where it was not let in, AssertionError where the answer is not whole."""
    with socket.create_connection(address, timeout=3) as link:
        link.settimeout(PATIENCE_S)
        link.sendall(sent)
        found = b"".join(iter(lambda: link.recv(262_144), b""))
    head, _, body = found.partition(b"\r\n\r\n")
    lines = head.decode().split("\r\n")
    headers = dict(line.lower().split(": ", 1) for line in lines[1:])
    assert len(body) == int(headers["content-length"]), found[:200]
    return int(lines[0].split()[1]), headers, body


@dataclass
class Seen:
    """What callers were answered, and what the service took meanwhile."""

    answers: Counter[str] = field(default_factory=Counter)
    wrong: list[str] = field(default_factory=list)
    longest_s: float = 0.0
    sessions: int = 0


def call_on(address: Address, sent: bytes, until: float, seen: Seen) -> None:
    """Send again as soon as there is an answer."""
    while time.monotonic() < until:
        began = time.monotonic()
        try:
            status, headers, body = answer(address, sent)
        except OSError:
            seen.answers["not let in"] += 1
        except AssertionError as error:
            seen.wrong.append(repr(error))
        else:
            seen.answers[str(status)] += 1
            seen.longest_s = max(seen.longest_s, time.monotonic() - began)
            if status in (429, 503):
                if int(headers["retry-after"]) < 1 or not json.loads(body)["code"]:
                    seen.wrong.append(f"{status} {headers}")
                time.sleep(random.random() / 5)
            elif status != 200:
                seen.wrong.append(f"{status} {body[:200]!r}")


def overloaded(address: Address, sent: bytes, owner: psycopg.Connection) -> Seen:
    """Everybody calls at once for a while."""
    seen, until = Seen(), time.monotonic() + SECONDS
    callers = [threading.Thread(target=call_on, args=(address, sent, until, seen)) for _ in range(CALLERS)]
    for caller in callers:
        caller.start()
    while any(caller.is_alive() for caller in callers):
        seen.sessions = max(seen.sessions, sessions(owner))
        time.sleep(0.1)
    for caller in callers:
        caller.join()
    return seen


def sessions(owner: psycopg.Connection) -> int:
    """Those of the application's login, this process' own among them."""
    login = connection.settings_dict["USER"]
    row = owner.execute("SELECT count(*) FROM pg_stat_activity WHERE usename = %s", [login]).fetchone()
    assert row is not None
    return int(row[0])


def workers(master: int) -> set[int]:
    return _children(master)


def peak(pid: int) -> int:
    """Bytes in memory, at most so far."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("VmHWM"))


def master_of(address: Address) -> int:
    """The gunicorn master, which is a child of ours."""
    (found,) = (
        pid for pid in _children(os.getpid()) if b"config.gunicorn" in Path(f"/proc/{pid}/cmdline").read_bytes()
    )
    return found


@pytest.fixture
def sent(program: Program) -> bytes:
    program.decide("alice")
    return batch(program)


@pytest.mark.longest
@pytest.mark.parametrize(
    ("backlog", "settings", "expected"),
    [
        (8, {}, {"200", "not let in"}),
        (1024, {}, {"200", "503"}),
        (1024, {"ZHIQING_RATE_CALLS": "2", "ZHIQING_RATE_BURST_SECONDS": "1"}, {"200", "429"}),
    ],
    ids=["a short queue", "a long queue", "a limit"],
)
def test_two_hundred_callers_with_the_longest_bodies(
    sent: bytes, owner: psycopg.Connection, tmp_path: Path, backlog: int, settings: dict[str, str], expected: set[str]
) -> None:
    log = tmp_path / "web.log"
    with web({**os.environ, **settings}, log, workers=WORKERS, backlog=backlog) as address:
        assert answer(address, sent)[0] == 200
        processes = workers(master_of(address))
        before = sessions(owner)
        seen = overloaded(address, sent, owner)
        assert not seen.wrong, seen.wrong[:5]
        assert expected <= set(seen.answers) <= expected | {"503"}, seen.answers
        # Where the queue is full a caller's own kernel waits longer and longer before it tries again.
        assert seen.longest_s < WAIT_S + (PATIENCE_S if backlog < CALLERS else 5)
        assert seen.sessions <= before + WORKERS
        assert workers(master_of(address)) == processes, "none of them was ended"
        assert max(peak(pid) for pid in processes) < PROCESS_BYTES
        time.sleep(1)
        began = time.monotonic()
        assert answer(address, sent)[0] == 200
        assert time.monotonic() - began < 2
    assert '"level": "ERROR"' not in log.read_text()


@contextlib.contextmanager
def stopped(pid: int) -> Iterator[None]:
    """The process does nothing for the block."""
    os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(pid, signal.SIGCONT)


@pytest.mark.long
def test_who_has_waited_too_long_is_told_so_and_a_probe_is_not(program: Program, tmp_path: Path) -> None:
    """One process, which is held up; what came last has not waited for long."""
    found: dict[str, tuple[int, dict[str, str], bytes]] = {}

    def call(method: str, path: str) -> threading.Thread:
        def run() -> None:
            found[path] = answer(address, request(program, b"{}", method=method, path=path))

        thread = threading.Thread(target=run)
        thread.start()
        return thread

    with web(os.environ, tmp_path / "web.log", workers=1) as address:
        (worker,) = workers(master_of(address))
        with stopped(worker):
            calls = [call("POST", "/api/v1/events"), call("POST", "/v1/batch"), call("GET", "/healthz")]
            time.sleep(WAIT_S + 0.3)
            calls.append(call("POST", "/api/v1/consents/status"))
            time.sleep(0.2)
        for thread in calls:
            thread.join()
    for path in ("/api/v1/events", "/v1/batch"):
        status, headers, body = found[path]
        assert (status, headers["content-type"], headers["retry-after"]) == (503, "application/problem+json", "2")
        problem = json.loads(body)
        assert (problem["code"], problem["status"]) == ("overloaded", 503)
    assert found["/healthz"][0] == 200
    assert found["/api/v1/consents/status"][0] == 422


def test_an_answer_given_before_the_body_is_read_arrives(program: Program, tmp_path: Path) -> None:
    """Closing at once would reset the connection that the caller still sends on, and its answer with it."""
    limits = {"ZHIQING_RATE_CALLS": "1", "ZHIQING_RATE_BURST_SECONDS": "1"}
    with web({**os.environ, **limits}, tmp_path / "web.log", workers=1) as address:
        long = request(program, b" " * BODY_BYTES)
        statuses = Counter(answer(address, long)[0] for _ in range(30))
        assert statuses[429] >= 20
        assert set(statuses) <= {429, 400}
        unauthenticated = long.replace(b"Bearer zq_", b"Bearer zq-")
        assert {answer(address, unauthenticated)[0] for _ in range(10)} == {401}


def test_a_body_in_chunks_is_asked_for_whole(program: Program, tmp_path: Path) -> None:
    chunks = b"2\r\n{}\r\n0\r\n\r\n"
    sent = request(program, chunks).replace(b"Content-Length: %d" % len(chunks), b"Transfer-Encoding: chunked")
    with web(os.environ, tmp_path / "web.log", workers=1) as address:
        status, _, body = answer(address, sent)
    told = json.loads(body)
    assert (status, told["code"]) == (400, "malformed") and "Content-Length" in told["detail"]


@pytest.mark.longest
def test_a_caller_who_falls_silent_lets_go_of_the_process(program: Program, tmp_path: Path) -> None:
    log = tmp_path / "web.log"
    with web(os.environ, log, workers=1) as address:
        with socket.create_connection(address) as silent:
            silent.sendall(b"POST /api/v1/events HTTP/1.1\r\nHost: 127.0.0.1\r\n")
            began = time.monotonic()
            assert silent.recv(1000) == b""
            assert IDLE_S - 1 < time.monotonic() - began < IDLE_S + 3
        status, _, body = answer(address, request(program, b'{"events"', length=5000))
        assert (status, json.loads(body)["code"]) == (408, "too_slow")
        assert answer(address, request(program, b"{}"))[0] == 422
    assert "WORKER TIMEOUT" not in log.read_text()
