"""Workers as operators start them, and the report of the fault matrix."""

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import redis

from tests import stack
from tests.faults import cells
from tests.faults.injected import PackageStore
from tests.stack import ROOT


@pytest.fixture
def broker() -> redis.Redis:
    """The tests' Redis, emptied."""
    connected: redis.Redis = redis.Redis.from_url(os.environ["REDIS_URL"])
    connected.flushdb()
    return connected


@pytest.fixture
def start_worker(tmp_path: Path) -> Iterator[Callable[[], subprocess.Popen[bytes]]]:
    """Starts a Celery worker with its beat, in a process group of its own; all are killed at the end."""
    started: list[subprocess.Popen[bytes]] = []

    def start() -> subprocess.Popen[bytes]:
        with (tmp_path / "worker.log").open("ab") as log:
            process = subprocess.Popen(
                [
                    sys.executable, "-m", "celery", "-A", "config.celery", "worker", "-B", "-c", "1",
                    "--schedule", str(tmp_path / f"beat-{len(started)}"), "--loglevel", "INFO",
                ],
                env={**os.environ, "ZHIQING_ROLE": "worker", "ZHIQING_SWEEP_SECONDS": "1"},
                cwd=ROOT,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )  # fmt: skip
        started.append(process)
        return process

    yield start
    for process in started:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait(10)


@pytest.fixture(scope="module")
def store(migrated: None) -> Iterator[PackageStore]:
    """The packages are on a disk of their own."""
    if stack.services is None or os.geteuid() != 0:
        pytest.skip("only root, with the embedded PostgreSQL, gives the packages a disk of their own")
    made = PackageStore(stack.services)
    try:
        made.mount()
    except subprocess.CalledProcessError:
        pytest.skip("nothing may be mounted here")
    try:
        yield made
    finally:
        made.unmount()


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    lines = cells.summary()
    if lines:
        terminalreporter.section("fault matrix")
        for line in lines:
            terminalreporter.write_line(line)
