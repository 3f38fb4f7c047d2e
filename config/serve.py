"""The whole stack of one machine: PostgreSQL, Redis, web server, Celery worker and beat, started and stopped together.

    with interruptible(), running(Path("var"), port=0) as stack:
        ...  # stack.base_url answers

`python -m config.serve` does this in the foreground. Where DATABASE_URL, DATABASE_WORKER_URL, DATABASE_OWNER_URL and
REDIS_URL are in the environment, those servers are used instead of the embedded ones.
"""

import argparse
import contextlib
import errno
import http.client
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType

from config import embedded, postgres, processes
from config.gunicorn import backlog

ROOT = Path(__file__).resolve().parent.parent
HOST = "127.0.0.1"
SERVERS = (*postgres.LOGINS, "REDIS_URL")
# What is answered on 127.0.0.1 only has no TLS, unless the environment says that a proxy ends it.
LOOPBACK = {"ZHIQING_TLS": "0"}
PREPARATION = (("create_roles",), ("create_keyring",), ("migrate", "--no-input"))
PORT_SECONDS = 3
READY_SECONDS = 90
STOP_SECONDS = 12
SETTLED_SECONDS = 30
LONGEST_PAUSE = 10.0
TICK = 0.2

Say = Callable[[str], None]


class ServeError(Exception):
    """The stack cannot run as asked; the message says why and what to do."""


class PortTaken(ServeError):
    """Something else listens on the port."""


class IncompleteServers(ServeError):
    """Some servers are given in the environment and others are not."""


class PreparationFailed(ServeError):
    """A manage.py command ended with an error."""


class NotServing(ServeError):
    """The web server does not answer."""


@dataclass
class Program:
    """One long-running child of the supervisor, a Python module with arguments, and what is known of its life."""

    name: str
    arguments: tuple[str, ...]
    environment: dict[str, str]
    var: Path
    # With the supervisor gone there is nothing to finish for, and Celery sometimes hangs on its way out of a SIGQUIT.
    death: signal.Signals = signal.SIGKILL
    pass_fds: tuple[int, ...] = ()
    deaths: int = 0
    pause: float = 0.0
    started_at: float = 0.0
    retry_at: float = 0.0
    process: subprocess.Popen[bytes] | None = field(default=None, repr=False)

    @property
    def log(self) -> Path:
        """Where its output goes."""
        return self.var / "log" / f"{self.name}.log"

    @property
    def pid_file(self) -> Path:
        """VAR/web.pid, VAR/worker.pid or VAR/beat.pid."""
        return self.var / f"{self.name}.pid"

    def start(self) -> None:
        """Starts it and writes its pid file."""
        command = processes.tethered([sys.executable, "-m", *self.arguments], death=self.death)
        self.process = processes.spawn(
            command, log=self.log, cwd=ROOT, environment=self.environment, pass_fds=self.pass_fds
        )
        self.started_at = time.monotonic()
        processes.write_private(self.pid_file, f"{self.process.pid}\n")

    def revive(self) -> str:
        """Starts it again if it died and its pause is over; returns what to tell, if anything."""
        if self.process is None or (code := self.process.poll()) is None:
            return ""
        now = time.monotonic()
        if self.pid_file.exists():  # first look since it died
            self._bury()
            self.deaths += 1
            settled = now - self.started_at > SETTLED_SECONDS
            self.pause = 0.0 if settled else min(max(2 * self.pause, 0.5), LONGEST_PAUSE)
            self.retry_at = now + self.pause
        if now < self.retry_at:
            return ""
        self.start()
        return f"{self.name} ended ({code}); a new one has started, see {self.log}"

    def terminate(self) -> None:
        """Asks it to end."""
        if self.process and self.process.poll() is None:
            self.process.terminate()

    def finish(self, deadline: float) -> None:
        """Waits for its end until the deadline, then ends it and what it has started."""
        if self.process:
            with contextlib.suppress(subprocess.TimeoutExpired):
                self.process.wait(max(0.0, deadline - time.monotonic()))
            processes.finish(self.process, signal.SIGQUIT, patience=3)
            self._bury()

    def _bury(self) -> None:
        """Ends what a dead program leaves: a killed Celery worker's pool would go on beside the new one."""
        self.pid_file.unlink(missing_ok=True)
        if self.process:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(self.process.pid, signal.SIGKILL)


class Supervisor(threading.Thread):
    """Runs the programs until told to stop. Children are bound to this thread's life (see config.processes), so it
    starts, revives and stops them all itself."""

    def __init__(
        self, programs: list[Program], services: embedded.Services | None, listener: socket.socket, say: Say
    ) -> None:
        super().__init__(name="supervisor", daemon=True)
        self.programs = {program.name: program for program in programs}
        self._services, self._listener, self._say = services, listener, say
        self._stopping = threading.Event()
        self.ended = threading.Event()  # a signal that interrupts Thread.join() makes it take the thread for ended

    def run(self) -> None:
        try:
            for program in self.programs.values():
                program.start()
            while not self._stopping.wait(TICK):
                self._revive()
        finally:
            self._listener.close()  # nobody new waits for a server that is being stopped
            for program in self.programs.values():
                program.terminate()
            deadline = time.monotonic() + STOP_SECONDS
            for program in self.programs.values():
                program.finish(deadline)
            self.ended.set()

    def stop(self) -> None:
        """Returns when every program has ended."""
        self._stopping.set()
        if self.ident is not None:
            self.ended.wait()

    def _revive(self) -> None:
        if self._services:
            try:
                for name in self._services.revive():
                    self._say(f"{name} ended; it has been started again")
            except embedded.EmbeddedError as error:
                self._say(f"error: {error}")
        for program in self.programs.values():
            if told := program.revive():
                self._say(told)


@dataclass(frozen=True)
class Stack:
    """The running stack."""

    base_url: str
    var: Path
    environment: Mapping[str, str]
    services: embedded.Services | None
    supervisor: Supervisor

    def wait(self) -> None:
        """Blocks until a signal interrupts it; raises NotServing if the supervisor itself fails."""
        self.supervisor.ended.wait()
        raise NotServing("the supervisor has ended, and all programs with it")

    def manage(self, *arguments: str, role: str = "owner") -> str:
        """Runs a manage.py command against the stack; returns its standard output."""
        return manage(arguments, {**self.environment, "ZHIQING_ROLE": role})


@contextlib.contextmanager
def running(
    var: Path,
    port: int = 8000,
    *,
    settings: Mapping[str, str] | None = None,
    durable: bool = True,
    say: Say = print,
) -> Iterator[Stack]:
    """Starts everything, yields when /healthz answers, and stops everything at the block's end, however it ends.

    Port 0 takes a free one. `settings` are added to the environment of every program. Raises ServeError and
    EmbeddedError.
    """
    embed = not external(os.environ)
    with contextlib.ExitStack() as stack:
        listener = stack.enter_context(listen(port))
        if embed:
            services: embedded.Services | None = stack.enter_context(embedded.services(var, durable=durable))
            folder = embedded.prepare(var)
        else:
            services, folder = None, embedded.prepare(var)
            stack.enter_context(processes.locked(folder / "lock", folder))
            embedded.write_stack_file(folder, {})
        environment = {**LOOPBACK, **os.environ, "VAR": str(folder), "PYTHONUNBUFFERED": "1", **(settings or {})}
        for step in PREPARATION:
            manage(step, {**environment, "ZHIQING_ROLE": "owner"})
        supervisor = Supervisor(programs(folder, environment, listener.fileno()), services, listener, say)
        stack.callback(supervisor.stop)
        supervisor.start()
        address = f"{HOST}:{listener.getsockname()[1]}"
        await_health(address, supervisor)
        yield Stack(f"http://{address}", folder, environment, services, supervisor)


def external(environment: Mapping[str, str]) -> bool:
    """Whether the environment names its own servers; raises IncompleteServers where it names only some."""
    missing = [key for key in SERVERS if not (environment.get(key) or environment.get(f"{key}_FILE"))]
    if missing and len(missing) < len(SERVERS):
        raise IncompleteServers(
            f"set {', '.join(missing)} too, or none of {', '.join(SERVERS)} for the embedded servers"
        )
    return not missing


def listen(port: int) -> socket.socket:
    """The web server's socket. The supervisor holds it, so that callers wait, not fail, while a new server starts.

    A port that is taken may be let go at once: the workers of a server that was killed are answering their last calls.
    """
    deadline = time.monotonic() + PORT_SECONDS
    while True:
        try:
            return _bound(port)
        except PortTaken:
            if time.monotonic() > deadline:
                raise
        time.sleep(TICK)


def _bound(port: int) -> socket.socket:
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((HOST, port))
        listener.listen(backlog)
    except (OSError, OverflowError) as error:
        listener.close()
        if isinstance(error, OSError) and error.errno == errno.EADDRINUSE:
            raise PortTaken(f"port {port} of {HOST} is taken: stop what listens there, or choose another") from None
        raise ServeError(f"port {port} of {HOST} cannot be used ({error}): choose another") from None
    return listener


def programs(var: Path, environment: Mapping[str, str], listener: int) -> list[Program]:
    """Web server, worker and beat, each under its own database role."""
    workers = min(2 * (os.cpu_count() or 1), 4)
    gunicorn = ("gunicorn", "--config=python:config.gunicorn", "config.wsgi:application")
    web = (*gunicorn, "--bind", f"fd://{listener}", "--workers", str(workers))
    celery = ("celery", "-A", "config.celery")
    worker = (*celery, "worker", "--loglevel=INFO", "--concurrency=2", "--without-gossip", "--without-mingle")
    beat = (*celery, "beat", "--loglevel=INFO", f"--schedule={var / 'beat-schedule'}", "--pidfile=")

    def under(role: str) -> dict[str, str]:
        return {**environment, "ZHIQING_ROLE": role}

    return [
        Program("web", web, under("application"), var, pass_fds=(listener,)),
        Program("worker", worker, under("worker"), var),
        Program("beat", beat, under("application"), var, death=signal.SIGTERM),
    ]


def manage(arguments: tuple[str, ...], environment: Mapping[str, str]) -> str:
    """Runs one manage.py command; raises PreparationFailed with the end of what it printed."""
    command = processes.tethered([sys.executable, ROOT / "manage.py", *arguments], death=signal.SIGTERM)
    done = subprocess.run(
        command,
        cwd=ROOT,
        env=environment,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        start_new_session=True,
        check=False,
    )
    if done.returncode:
        said = "\n".join((done.stdout + done.stderr).splitlines()[-12:])
        raise PreparationFailed(f"manage.py {arguments[0]} ended with {done.returncode}:\n{said}")
    return done.stdout


def await_health(address: str, supervisor: Supervisor) -> None:
    """Returns when /healthz answers 200; raises NotServing with the end of the web server's log."""
    web = supervisor.programs["web"]
    deadline = time.monotonic() + READY_SECONDS
    while time.monotonic() < deadline and web.deaths < 3 and not supervisor.ended.is_set():
        link = http.client.HTTPConnection(address, timeout=2)
        with contextlib.closing(link), contextlib.suppress(OSError, http.client.HTTPException):
            link.request("GET", "/healthz")
            if link.getresponse().status == 200:
                return
        time.sleep(0.1)
    raise NotServing(f"the web server does not answer /healthz with 200; {web.log} ends:\n{processes.tail(web.log)}")


@contextlib.contextmanager
def interruptible() -> Iterator[None]:
    """The first SIGINT, SIGTERM or SIGHUP raises KeyboardInterrupt in the block; later ones cannot cut the stopping
    short. SIGINT and SIGHUP stay ignored where the caller ignores them (background jobs, nohup). Main thread only."""
    handled = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
    before = {number: signal.getsignal(number) for number in handled}
    taken = [number for number in handled if number == signal.SIGTERM or before[number] != signal.SIG_IGN]

    def interrupt(number: int, frame: FrameType | None) -> None:
        for each in taken:
            signal.signal(each, signal.SIG_IGN)
        raise KeyboardInterrupt

    for number in taken:
        signal.signal(number, interrupt)
    try:
        yield
    finally:
        for number in taken:
            signal.signal(number, before[number])


def main() -> int:
    """The command line; 0 after a signal, 1 when the stack could not run."""
    parser = argparse.ArgumentParser(
        prog="python -m config.serve",
        description="Run the whole stack in the foreground until Ctrl-C or SIGTERM.",
        epilog=f"With {', '.join(SERVERS)} in the environment those servers are used, else embedded ones.",
    )
    parser.add_argument("--port", type=int, default=8000, help="port of 127.0.0.1; 0 takes a free one (default: 8000)")
    parser.add_argument("--var", type=Path, default=ROOT / "var", help="folder of the stack (default: ./var)")
    arguments = parser.parse_args()

    def say(line: str) -> None:
        print(line, flush=True)

    with interruptible():
        try:
            with running(arguments.var, arguments.port, say=say) as stack:
                say(f"serving {stack.base_url}")
                stack.wait()
        except KeyboardInterrupt:
            return 0
        except (ServeError, embedded.EmbeddedError) as error:
            print(f"error: {error}", file=sys.stderr, flush=True)
    return 1


if __name__ == "__main__":
    sys.exit(main())
