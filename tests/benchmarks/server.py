"""The web server under load, as `make serve` runs it, on a port of its own."""

import contextlib
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PATIENCE_S = 30.0


@contextlib.contextmanager
def web(
    environment: Mapping[str, str],
    log: Path,
    *,
    workers: int = 4,
    application: str = "config.wsgi:application",
    backlog: int = 1024,
) -> Iterator[tuple[str, int]]:
    """Its address; stopped at the end of the block. `log` takes what it says."""
    listener = socket.create_server(("127.0.0.1", 0), backlog=backlog)
    command = ["-m", "gunicorn", "--config=python:config.gunicorn", application, f"--bind=fd://{listener.fileno()}"]
    with log.open("ab") as sink:
        process = subprocess.Popen(
            [sys.executable, *command, f"--workers={workers}"],
            cwd=ROOT, env={**environment, "ZHIQING_ROLE": "application"}, stdout=sink, stderr=sink,
            pass_fds=[listener.fileno()],
        )  # fmt: skip
    address: tuple[str, int] = listener.getsockname()
    listener.close()
    try:
        _await(address, process)
        yield address
    finally:
        process.terminate()
        process.wait(PATIENCE_S)


def _await(address: tuple[str, int], process: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + PATIENCE_S
    while time.monotonic() < deadline and process.poll() is None:
        with contextlib.suppress(OSError), socket.create_connection(address, timeout=1) as connection:
            connection.sendall(b"GET /healthz HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n")
            if b" 200 " in connection.recv(200):
                return
        time.sleep(0.1)
    raise RuntimeError("the web server does not answer")
