"""`make serve` in a process and a folder of its own, all of which may be killed without harm to other tests."""

import contextlib
import os
import random
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import psycopg

from config import embedded, env, processes, serve
from tests.stack import ROOT

START_S = 120.0
STOP_S = 60.0
SETTINGS = {"ZHIQING_ERASURE_UNDO_SECONDS": "0", "ZHIQING_SWEEP_SECONDS": "1"}
KINDS = ("web worker", "web", "pool child", "worker", "beat", "redis", "backend", "postgres")
"""What may be killed: gunicorn's workers and master, Celery's pool and main process, PostgreSQL's backends and postmaster."""


class Served:
    """The running stack as an operator sees it: a command, an address, a folder with pids."""

    def __init__(self, var: Path) -> None:
        self.var = var
        with socket.socket() as free:
            free.bind((serve.HOST, 0))
            self.port = int(free.getsockname()[1])
        self.base_url = f"http://{serve.HOST}:{self.port}"
        self._process: subprocess.Popen[bytes] | None = None
        self._said = var.with_name("serve.log")

    def start(self) -> None:
        """Returns when it says that it serves."""
        asked = [sys.executable, "-m", "config.serve", f"--port={self.port}", f"--var={self.var}"]
        command = processes.tethered(asked, death=signal.SIGTERM)
        with self._said.open("wb") as said:
            self._process = subprocess.Popen(command, cwd=ROOT, env=_outside() | SETTINGS, stdout=said, stderr=said)
        wait_for("make serve", self._serving, START_S)

    def _serving(self) -> bool:
        assert self._process is not None
        assert self._process.poll() is None, self.said()
        return b"serving http" in self._said.read_bytes()

    def said(self) -> str:
        """What it has printed since its start."""
        return self._said.read_text()

    def stop(self) -> None:
        """SIGTERM, as an init system sends it."""
        if self._process is not None and self._process.poll() is None:
            self._process.terminate()
            self._process.wait(STOP_S)

    def restart(self) -> None:
        """kill -9 of the supervisor, which takes everything along, and a new start on the same folder."""
        assert self._process is not None
        self._process.kill()
        self._process.wait(STOP_S)
        self.start()

    def manage(self, *arguments: str, role: str = "application") -> str:
        """What the operator's command prints; it finds the stack by its folder."""
        return serve.manage(arguments, _outside() | {"VAR": str(self.var), "ZHIQING_ROLE": role}).strip()

    def settings(self) -> dict[str, str]:
        """What VAR/stack.env says."""
        lines = (self.var / env.STACK_FILE).read_text().splitlines()
        return dict(line.split("=", 1) for line in lines)

    def owner(self) -> psycopg.Connection:
        """The database as its owner sees it."""
        return psycopg.connect(self.settings()["DATABASE_OWNER_URL"], autocommit=True)

    def ready(self) -> bool:
        """Whether /readyz answers 200."""
        with contextlib.suppress(httpx.TransportError):
            return httpx.get(f"{self.base_url}/readyz", trust_env=False, timeout=5).is_success
        return False

    def pids(self, kind: str) -> set[int]:
        """The processes of a kind that run now; none while it is being started again."""
        with contextlib.suppress(OSError, ValueError, psycopg.Error):
            if kind in ("backend", "postgres"):
                return self._postgres(kind)
            if kind == "redis":
                found = {_pid(self.var / "redis" / "redis.pid")}
            else:
                name = {"web worker": "web", "pool child": "worker"}.get(kind, kind)
                main = _pid(self.var / f"{name}.pid")
                found = {main} if kind == name else _children(main)
            return {pid for pid in found if _parent(pid)}
        return set()

    def _postgres(self, kind: str) -> set[int]:
        with self.owner() as owner:
            own = owner.info.backend_pid
            if kind == "postgres":
                return {_parent(own)}
            rows = owner.execute("SELECT pid FROM pg_stat_activity WHERE usename = 'zhiqing_app'").fetchall()
        return {int(row[0]) for row in rows}

    def kill(self, kind: str) -> Callable[[], bool]:
        """kill -9 of one process of the kind; answers a question: are there as many of it again, without that one?

        The kind `supervisor` is the command itself: what it runs ends with it, and it is started again as by an init system.
        """
        if kind == "supervisor":
            self.restart()
            return lambda: True
        wait_for(f"a process to kill ({kind})", lambda: bool(self.pids(kind)), START_S)
        before = self.pids(kind)
        victim = random.choice(sorted(before))
        os.kill(victim, signal.SIGKILL)
        # How many backends there are is the web processes' affair.
        enough = 0 if kind == "backend" else len(before)

        def replaced() -> bool:
            now = self.pids(kind)
            return victim not in now and len(now) >= enough

        return replaced


@contextlib.contextmanager
def served(folder: Path) -> Iterator[Served]:
    """A started stack; stopped and removed at the end of the block."""
    stack = Served(folder / "var")
    try:
        stack.start()
        yield stack
    finally:
        stack.stop()
        embedded.remove(stack.var)


def wait_for(what: str, ready: Callable[[], bool], seconds: float) -> float:
    """Returns how long it took, in seconds."""
    began = time.monotonic()
    while not ready():
        assert time.monotonic() - began < seconds, f"{what} takes longer than {seconds:.0f} s"
        time.sleep(0.05)
    return time.monotonic() - began


def _outside() -> dict[str, str]:
    """This process's environment, without what the tests set in it."""
    ours = {"VAR", "DJANGO_SETTINGS_MODULE", *serve.SERVERS}
    return {name: value for name, value in os.environ.items() if name not in ours and not name.startswith("ZHIQING_")}


def _pid(file: Path) -> int:
    return int(file.read_text())


def _parent(pid: int) -> int:
    """The parent's pid; raises OSError for a process that is gone, 0 for one that is dead and not yet waited for."""
    state, parent = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[:2]
    return 0 if state == "Z" else int(parent)


def _children(pid: int) -> set[int]:
    found = set()
    for entry in Path("/proc").iterdir():
        if entry.name.isdecimal():
            with contextlib.suppress(OSError):
                if _parent(int(entry.name)) == pid:
                    found.add(int(entry.name))
    return found
