"""With Redis gone or silent every call goes on, and clients are held to about what they may have; then they share again."""

import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
import redis

from config import embedded
from consent.programs.throttling import AWAY_S
from tests.benchmarks.server import web
from tests.cast import Program, event

RATE = 20
WORKERS = 2
SUBJECT = {"openid": "alice"}


@pytest.fixture
def broker(tmp_path: Path) -> Iterator[embedded.Redis]:
    """A Redis of the test's own, to be stopped."""
    server = embedded.Redis(embedded.prepare(tmp_path / "var"))
    server.start()
    yield server
    server.stop()


@pytest.fixture
def backend(program: Program, broker: embedded.Redis, tmp_path: Path) -> Iterator[httpx.Client]:
    """Calls of a web server that has this Redis, as a backend makes them."""
    settings = broker.urls() | {"ZHIQING_RATE_CALLS": str(RATE), "ZHIQING_RATE_BURST_SECONDS": "1"}
    with web({**os.environ, **settings}, tmp_path / "web.log", workers=WORKERS) as (host, port):
        key = {"Authorization": f"Bearer {program.key}"}
        with httpx.Client(base_url=f"http://{host}:{port}/api/v1/", headers=key, trust_env=False, timeout=30) as client:
            yield client


def everything(backend: httpx.Client, program: Program) -> float:
    """One call of each kind, each answered; how long the slowest took, in seconds."""
    consent: dict[str, Any] = {
        "subject": SUBJECT, "notice": program.notice, "locale": "en", "method": "dialog", "act": "single",
        "decisions": [{"purpose": "analytics", "decision": "given"}],
    }  # fmt: skip
    calls: list[tuple[str, str, Any, int]] = [
        ("POST", "consents", consent, 201),
        ("POST", "consents/status", {"subject": SUBJECT}, 200),
        ("POST", "events", {"events": [event("alice", f"e{time.monotonic_ns()}")]}, 200),
        ("GET", "requests", None, 200),
    ]
    took = []
    for method, path, body, status in calls:
        answer = backend.request(method, path, **({} if body is None else {"json": body}))
        assert answer.status_code == status, answer.text
        took.append(answer.elapsed.total_seconds())
    return max(took)


def let_in(backend: httpx.Client, seconds: float) -> float:
    """Calls a second that are not refused, asked for as many as can be."""
    done, began = 0, time.monotonic()
    while time.monotonic() < began + seconds:
        answer = backend.get("requests")
        assert answer.status_code in (200, 429)
        assert answer.is_success or answer.headers["Retry-After"] == "1"
        done += answer.is_success
    return done / seconds


def shared(broker: embedded.Redis) -> bool:
    with redis.Redis.from_url(broker.urls()["REDIS_URL"]) as client:
        return bool(client.keys("zq:rate:*"))


@pytest.mark.longest
@pytest.mark.parametrize("way", ["gone", "silent"])
def test_every_call_goes_on_without_redis(
    backend: httpx.Client, program: Program, broker: embedded.Redis, way: str
) -> None:
    everything(backend, program)
    assert shared(broker)
    assert RATE * 0.8 <= let_in(backend, 4) <= RATE * 1.5
    time.sleep(1)

    pid = broker.process.pid if broker.process else 0
    if way == "gone":
        broker.stop()
    else:
        os.kill(pid, signal.SIGSTOP)
    assert everything(backend, program) < 0.6
    filed = backend.post("requests", json={"subject": SUBJECT, "kind": "access", "locale": "en"})
    assert filed.status_code == 202
    assert filed.elapsed.total_seconds() < 2
    ready = backend.get(str(backend.base_url.join("/readyz")))
    assert (ready.status_code, ready.json()["ready"], ready.json()["checks"]["broker"]) == (200, True, False)
    # One process may be given most of the calls, and it has half of the limit.
    assert RATE / WORKERS * 0.8 <= let_in(backend, 4) <= RATE * 1.5

    if way == "gone":
        broker.start()
    else:
        os.kill(pid, signal.SIGCONT)
    time.sleep(AWAY_S + 0.5)
    everything(backend, program)
    assert shared(broker)
    assert RATE * 0.8 <= let_in(backend, 4) <= RATE * 1.5
