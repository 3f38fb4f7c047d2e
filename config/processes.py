"""What runs the servers and programs of one machine: private files, locks, children that end with their supervisor.

Each child is in a session of its own (a terminal's Ctrl-C reaches only the supervisor, which stops them in order) and,
on Linux, gets its stop signal from the kernel when the thread that started it is gone; so start it in a thread that
lives as long. What a kill -9 leaves behind all the same is found by its working folder and stopped by the next start.

Standard library only and nothing of this project: `tethered` runs this file in every child, by its path.
"""

import contextlib
import ctypes
import fcntl
import os
import pwd
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

PR_SET_PDEATHSIG = 1
BARE = {"LC_ALL": "C", "TZ": "UTC", "PATH": os.defpath}


class EmbeddedError(Exception):
    """The embedded services cannot run as asked; the message says why and what to do."""


class AlreadyRunning(EmbeddedError):
    """Another process runs a stack in the same folder."""


class NotInstalled(EmbeddedError):
    """A server's binaries are not on this machine."""


class PlaceRefused(EmbeddedError):
    """Files are not where they should be, or not owned as they should be."""


class DidNotStart(EmbeddedError):
    """A server or one of its tools ended or stayed silent."""


def write_private(path: Path, text: str) -> None:
    """Replaces the file in one step, readable by this user only."""
    fresh = path.with_name(f"{path.name}.{os.getpid()}")
    fresh.unlink(missing_ok=True)
    with os.fdopen(os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
        file.write(text)
    fresh.replace(path)


@contextlib.contextmanager
def locked(path: Path, what: Path) -> Iterator[None]:
    """Holds a file (made when missing) or a folder against other processes; the kernel lets go when this one dies."""
    handle = os.open(path, os.O_RDONLY if path.is_dir() else os.O_RDWR | os.O_CREAT, 0o600)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(handle)
        raise AlreadyRunning(f"another stack is running in {what}: stop it, or choose another folder VAR") from None
    try:
        yield
    finally:
        os.close(handle)


@dataclass(frozen=True)
class Account:
    """The unprivileged user that PostgreSQL runs as where this process is root."""

    uid: int
    gid: int


def unprivileged() -> Account | None:
    """None for a process that is not root; raises where root finds no user to become."""
    if os.geteuid() != 0:
        return None
    for name in ("postgres", "nobody"):
        with contextlib.suppress(KeyError):
            entry = pwd.getpwnam(name)
            if entry.pw_uid != 0:
                return Account(entry.pw_uid, entry.pw_gid)
    raise PlaceRefused("PostgreSQL never runs as root, and there is no user postgres or nobody: be another user")


def tethered(command: Sequence[str | Path], *, death: signal.Signals, account: Account | None = None) -> list[str]:
    """The command, run so that it gets the signal when the thread that starts it dies (see `tether`)."""
    ids = (account.uid, account.gid) if account else (-1, -1)
    prefix = [sys.executable, "-I", "-S", __file__, os.getpid(), int(death), *ids]
    return [str(part) for part in (*prefix, *command)]


def end_with_parent(death: int) -> None:
    """Has the kernel send this process the signal when the thread that started it is gone; on Linux only."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, death, 0, 0, 0)


def tether(parent: int, death: int, uid: int, gid: int, command: list[str]) -> None:
    """Runs inside the child, in a fresh interpreter, since code between fork and exec is unsafe beside threads."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)  # a shell starts background jobs with SIGINT ignored
    if uid >= 0:
        os.setgroups([])
        os.setgid(gid)
        os.setuid(uid)
    end_with_parent(death)  # after setuid, which clears it
    if sys.platform == "linux" and os.getppid() != parent:
        sys.exit("the supervisor is gone")
    os.execv(command[0], command)  # noqa: S606  no shell is what is wanted


def spawn(
    command: Sequence[str],
    *,
    log: Path,
    cwd: Path,
    environment: Mapping[str, str],
    pass_fds: Sequence[int] = (),
) -> subprocess.Popen[bytes]:
    """Starts a child in a session of its own that writes to the log, of which one older file is kept."""
    if log.exists() and log.stat().st_size > 10_000_000:
        log.replace(log.with_suffix(".log.1"))
    with os.fdopen(os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600), "ab") as sink:
        return subprocess.Popen(
            command,
            cwd=cwd,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=sink,
            stderr=sink,
            start_new_session=True,
            pass_fds=pass_fds,
        )


def finish(process: subprocess.Popen[bytes], *signals: signal.Signals, patience: float) -> None:
    """Sends the signals in turn, each with that many seconds to work, then kills; returns when the child is gone."""
    for number in (*signals, signal.SIGKILL):
        if process.poll() is None:
            process.send_signal(number)
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(patience)
    process.wait()


def tail(log: Path) -> str:
    """The log's last 30 lines, for an error message."""
    with contextlib.suppress(OSError):
        return "\n".join(log.read_text(errors="replace").splitlines()[-30:])
    return ""


def works_in(pid: int, folder: Path) -> bool:
    """Whether the process exists and its working folder is this one: nobody else's server has ours."""
    try:
        return Path(f"/proc/{pid}/cwd").readlink() == folder
    except OSError:
        pass
    if Path("/proc/self/cwd").exists():
        return False
    shown = subprocess.run(["ps", "-ww", "-o", "args=", "-p", str(pid)], capture_output=True, text=True, check=False)
    return str(folder) in shown.stdout


def retire(pid_file: Path, stop: signal.Signals) -> None:
    """Stops the server that a killed supervisor left in the pid file's folder, if it did, and removes the file."""
    folder = pid_file.parent
    try:
        pid = int(pid_file.read_text().split()[0])
    except (FileNotFoundError, ValueError, IndexError):
        pid = 0
    for number in (stop, signal.SIGQUIT, signal.SIGKILL):
        deadline = time.monotonic() + 30
        if pid and works_in(pid, folder):
            with contextlib.suppress(ProcessLookupError):  # it may end between the question and the signal
                os.kill(pid, number)
        while pid and works_in(pid, folder) and time.monotonic() < deadline:
            time.sleep(0.05)
    pid_file.unlink(missing_ok=True)


class Server:
    """A child process that serves, started again with the same address when it dies."""

    name = ""
    stop_signal = signal.SIGTERM
    patience = 20.0
    pauses = (0.0, 1.0, 3.0)  # a killed PostgreSQL's backends hold its memory until they notice: then a try fails

    def __init__(self, var: Path, folder: Path, account: Account | None = None) -> None:
        self.folder, self.account = folder, account
        self.log = var / "log" / f"{self.name}.log"
        self.process: subprocess.Popen[bytes] | None = None

    def command(self) -> list[str | Path]:
        """What to run, in `folder`."""
        raise NotImplementedError

    def clear(self) -> None:
        """Stops what a killed supervisor left in the folder, and makes what the server needs there."""
        raise NotImplementedError

    def ready(self, process: subprocess.Popen[bytes]) -> bool:
        """Whether it takes connections."""
        raise NotImplementedError

    def start(self) -> None:
        """Returns when it takes connections; raises DidNotStart with the end of its log."""
        self.clear()
        for pause in self.pauses:
            time.sleep(pause)
            command = tethered(self.command(), death=self.stop_signal, account=self.account)
            process = spawn(command, log=self.log, cwd=self.folder, environment=BARE)
            deadline = time.monotonic() + self.patience
            while process.poll() is None and time.monotonic() < deadline:
                if self.ready(process):
                    self.process = process
                    return
                time.sleep(0.02)
            finish(process, self.stop_signal, patience=5)
        raise DidNotStart(f"{self.name} did not start; {self.log} ends:\n{tail(self.log)}")

    def revive(self) -> bool:
        """Starts it again if it died by itself; returns whether it had."""
        died = self.process is not None and self.process.poll() is not None
        if died:
            self.start()
        return died

    def stop(self) -> None:
        """Ends it in order."""
        process, self.process = self.process, None
        if process:
            finish(process, self.stop_signal, signal.SIGQUIT, patience=self.patience)


if __name__ == "__main__":
    parent, death, uid, gid = map(int, sys.argv[1:5])
    tether(parent, death, uid, gid, sys.argv[5:])
