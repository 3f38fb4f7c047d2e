"""A real web server on the test database, in a process of its own: what a backend meets, and what can be killed."""

import contextlib
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import httpx

from tests.stack import ROOT

READY_S = 60


class Server:
    """gunicorn as `make serve` runs it, on a port that stays the same over restarts."""

    def __init__(self, log: Path, workers: int = 4) -> None:
        self.log, self.workers = log, workers
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        self.base_url = f"http://127.0.0.1:{self.port}"
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        with self.log.open("ab") as sink:
            self._process = subprocess.Popen(
                [
                    sys.executable,
                    "-m",
                    "gunicorn",
                    "--config=python:config.gunicorn",
                    "config.wsgi:application",
                    f"--bind=127.0.0.1:{self.port}",
                    f"--workers={self.workers}",
                ],
                cwd=ROOT,
                env={**os.environ, "ZHIQING_ROLE": "application"},
                stdout=sink,
                stderr=sink,
                start_new_session=True,
            )
        deadline = time.monotonic() + READY_S
        while time.monotonic() < deadline and self._process.poll() is None:
            with contextlib.suppress(httpx.TransportError):
                if httpx.get(f"{self.base_url}/healthz", trust_env=False).is_success:
                    return
            time.sleep(0.1)
        self.kill()
        raise RuntimeError(f"the web server does not answer:\n{self.log.read_text()}")

    def kill(self) -> None:
        """SIGKILL to gunicorn and all its workers, in the middle of whatever they do."""
        self._end(signal.SIGKILL)

    def stop(self) -> None:
        self._end(signal.SIGTERM)

    @contextlib.contextmanager
    def paused(self) -> Iterator[None]:
        """In the block its processes stand still; the kernel goes on taking what callers send, as much as may wait."""
        assert self._process is not None
        os.killpg(self._process.pid, signal.SIGSTOP)
        try:
            yield
        finally:
            os.killpg(self._process.pid, signal.SIGCONT)

    def _end(self, number: signal.Signals) -> None:
        if self._process is not None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self._process.pid, number)
            self._process.wait(30)


@contextlib.contextmanager
def serving(folder: Path, log: str = "gunicorn.log", **more: int) -> Iterator[Server]:
    """A started server, stopped at the end of the block; its log lies in the folder."""
    server = Server(folder / log, **more)
    try:
        server.start()
        yield server
    finally:
        server.stop()
