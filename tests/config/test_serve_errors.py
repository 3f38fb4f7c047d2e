"""What gunicorn itself answers and logs of requests that never reach Django: nothing of what was sent."""

import json
import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from config import serve

CANARY = "canary"


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[int, Path]]:
    """The web server as config.serve starts it: (port, log)."""
    log = tmp_path_factory.mktemp("web") / "web.log"
    with serve.listen(0) as listener, log.open("wb") as output:
        web = serve.programs(log.parent, dict(os.environ), listener.fileno())[0]
        process = subprocess.Popen(
            [sys.executable, "-m", *web.arguments, "--workers=1"],
            cwd=serve.ROOT,
            env={**os.environ, "ZHIQING_ROLE": "application"},
            stderr=output,
            stdout=output,
            pass_fds=(listener.fileno(),),
        )
        try:
            yield listener.getsockname()[1], log
        finally:
            process.terminate()
            process.wait(20)


def answer(port: int, request: bytes) -> bytes:
    with socket.create_connection(("127.0.0.1", port), timeout=30) as link:
        link.sendall(request)
        found = b""
        while piece := link.recv(65536):
            found += piece
        return found


REQUESTS = [
    (b"GET /api/v1/requests?openid=canary\r\n\r\n", 400),
    (b"GET /healthz HTTP/1.1\r\nX-Openid canary\r\n\r\n", 400),
    (b"GET /healthz HTTP/1.1\r\nHost: a\r\nX-O(canary): b\r\n\r\n", 400),
    (b"GET /canary HTTP/9.canary\r\n\r\n", 400),
    (b"c\x01anary /healthz HTTP/1.1\r\n\r\n", 400),
    (b"GET /?" + b"canary" * 2000 + b" HTTP/1.1\r\n\r\n", 414),
    (b"GET / HTTP/1.1\r\nX-Canary: " + b"canary" * 3000 + b"\r\n\r\n", 431),
    (b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: canary\r\n\r\n", 501),
]


@pytest.mark.parametrize(("request_sent", "status"), REQUESTS)
def test_nothing_of_an_unreadable_request_is_answered_or_logged(
    server: tuple[int, Path], request_sent: bytes, status: int
) -> None:
    port, log = server
    before = len(log.read_bytes())
    head, _, body = answer(port, request_sent).partition(b"\r\n\r\n")
    assert head.startswith(f"HTTP/1.1 {status} ".encode())
    assert body == b""
    assert CANARY.encode() not in head.lower()
    lines = _settled(log, before)
    assert [line for line in lines if line["message"] == "request refused" and line["status"] == status]
    assert CANARY not in log.read_text().lower()


def _settled(log: Path, before: int) -> list[dict[str, object]]:
    """The lines written since, each of which is JSON."""
    deadline = time.monotonic() + 5
    while len(log.read_bytes()) == before and time.monotonic() < deadline:
        time.sleep(0.02)
    return [json.loads(line) for line in log.read_bytes()[before:].splitlines()]


def test_every_line_of_the_log_is_json_and_no_request_is_in_it(server: tuple[int, Path]) -> None:
    port, log = server
    sent = b"GET /healthz?openid=canary HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"
    assert answer(port, sent).startswith(b"HTTP/1.1 200 ")
    assert CANARY not in log.read_text().lower()
    lines = [json.loads(line) for line in log.read_text().splitlines()]
    assert "gunicorn.error" in {line["logger"] for line in lines}
