"""The web server under load, as `make serve` runs it, on a port of its own; and the worker beside it."""

import contextlib
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PATIENCE_S = 90.0


@dataclass(frozen=True)
class Web:
    """A running server: where it answers, and its master process."""

    address: tuple[str, int]
    master: int

    def workers(self) -> list[int]:
        """The processes that carry out calls, oldest first."""
        children = Path(f"/proc/{self.master}/task/{self.master}/children").read_text()
        return sorted(map(int, children.split()))


@contextlib.contextmanager
def web(
    environment: Mapping[str, str],
    log: Path,
    *,
    workers: int = 4,
    application: str = "config.wsgi:application",
    backlog: int = 1024,
    niceness: int = 0,
) -> Iterator[tuple[str, int]]:
    """Its address; stopped at the end of the block. `log` takes what it says. `niceness`: how far its processes stand back from
    others, as of nice(1)."""
    with served(
        environment, log, workers=workers, application=application, backlog=backlog, niceness=niceness
    ) as running:
        yield running.address


@contextlib.contextmanager
def served(
    environment: Mapping[str, str],
    log: Path,
    *,
    workers: int = 4,
    application: str = "config.wsgi:application",
    backlog: int = 1024,
    niceness: int = 0,
) -> Iterator[Web]:
    """As `web`, with its processes."""
    listener = socket.create_server(("127.0.0.1", 0), backlog=backlog)
    command = ["-m", "gunicorn", "--config=python:config.gunicorn", application, f"--bind=fd://{listener.fileno()}"]
    with log.open("ab") as sink:
        process = subprocess.Popen(
            ["nice", f"-n{niceness}", sys.executable, *command, f"--workers={workers}"],
            cwd=ROOT, env={**environment, "ZHIQING_ROLE": "application"}, stdout=sink, stderr=sink,
            pass_fds=[listener.fileno()],
        )  # fmt: skip
    address: tuple[str, int] = listener.getsockname()
    listener.close()
    try:
        _await(address, process)
        yield Web(address, process.pid)
    finally:
        process.terminate()
        process.wait(PATIENCE_S)


@contextlib.contextmanager
def worker(environment: Mapping[str, str], log: Path) -> Iterator[None]:
    """The Celery worker, which erases what a withdrawn consent had collected. `log` takes what it says."""
    command = [
        "-m",
        "celery",
        "-A",
        "config.celery",
        "worker",
        "--loglevel=INFO",
        "--concurrency=2",
        "--without-gossip",
    ]
    begins = log.stat().st_size if log.exists() else 0
    with log.open("ab") as sink:
        process = subprocess.Popen(
            [sys.executable, *command, "--without-mingle"],
            cwd=ROOT, env={**environment, "ZHIQING_ROLE": "worker"}, stdout=sink, stderr=sink,
        )  # fmt: skip
    try:
        deadline = time.monotonic() + PATIENCE_S
        while b" ready." not in log.read_bytes()[begins:]:
            if time.monotonic() > deadline or process.poll() is not None:
                raise RuntimeError(f"the worker does not start: see {log}")
            time.sleep(0.1)
        yield
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
