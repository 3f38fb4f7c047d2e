"""Faults at the boundaries of a worker's transactions, each really done: the process killed, Redis flushed, PostgreSQL
restarted, the package store's disk filled, a second worker with the same hint.

A boundary is a commit of this thread's database connection, whoever asks for it, and each has two moments: just before it
and just after. `inject` finds them, so that no list of steps is kept here.
"""

import os
import shutil
import signal
import subprocess
import threading
import time
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

import psycopg
import redis
from django.db import DEFAULT_DB_ALIAS, close_old_connections, connection, connections

from config.embedded import Services
from consent.rights import tasks
from consent.webhooks import tasks as webhooks
from tests import hints

BEFORE, AFTER = "before its commit", "after its commit"
STORE_MIB = 8


class Boundaries:
    """How many transactions were committed, and whether the fault came."""

    count = 0
    came = False
    fault_ended = 0.0


@contextmanager
def inject(
    number: int, moment: str, fault: Callable[[], None], each: Callable[[int], None] | None = None
) -> Iterator[Boundaries]:
    """Commit the fault at the commit with this number, counted from 1; `each` is called after every one."""
    wrapper, seen = connections[DEFAULT_DB_ALIAS], Boundaries()
    real = wrapper._commit  # type: ignore[attr-defined]

    def come(at: str) -> None:
        if (seen.count, moment) == (number, at):
            seen.came = True
            fault()
            seen.fault_ended = time.monotonic()

    def commit() -> None:
        seen.count += 1
        come(BEFORE)
        real()
        if each is not None:
            each(seen.count)
        come(AFTER)

    wrapper._commit = commit  # type: ignore[attr-defined]
    try:
        yield seen
    finally:
        del wrapper._commit  # type: ignore[attr-defined]


def in_a_process(work: Callable[[], None]) -> bool:
    """Do it in a process of its own, with database connections of its own; answers whether that was killed."""
    connection.close()
    pid = os.fork()
    if pid == 0:
        try:
            work()
        except BaseException:
            traceback.print_exc()
            os._exit(1)
        os._exit(0)
    _, status = os.waitpid(pid, 0)
    assert status in (0, signal.SIGKILL), "the worker ended with an error of its own"
    return status == signal.SIGKILL


def kill_myself() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


class Ended(BaseException):
    """A thread's kill -9: nothing after it is run."""


def end_this_thread() -> None:
    raise Ended


def flush() -> None:
    """Redis has forgotten everything."""
    with redis.Redis.from_url(os.environ["REDIS_URL"]) as broker:
        broker.flushall()


def flush_and_kill_myself() -> None:
    flush()
    kill_myself()


def restart(services: Services) -> None:
    """An immediate shutdown, as of `pg_ctl restart -m immediate`: every session ends, and the next start recovers."""
    process = services.postgres.process
    assert process is not None
    process.send_signal(signal.SIGQUIT)
    process.wait(30)
    assert services.postgres.revive()


@contextmanager
def joined_by(work: Callable[[], None]) -> Iterator[Callable[[], None]]:
    """Yields what starts the work beside this thread's: it returns once that is done or waits for a lock of this one."""
    others: list[threading.Thread] = []
    failures: list[BaseException] = []

    def run() -> None:
        try:
            work()
        except Ended:
            pass
        except BaseException as error:
            failures.append(error)
        finally:
            connection.close()

    def start() -> None:
        others.append(threading.Thread(target=run))
        others[-1].start()
        with psycopg.connect(os.environ["DATABASE_OWNER_URL"], autocommit=True) as owner:
            while others[-1].is_alive() and not waits(owner):
                time.sleep(0.005)

    yield start
    for other in others:
        other.join(60)
        assert not other.is_alive(), "the second worker hangs"
    assert not failures, failures


def waits(owner: psycopg.Connection) -> bool:
    """Whether somebody waits for a row; autovacuum may wait for a table."""
    waiting = "SELECT FROM pg_locks WHERE NOT granted AND locktype IN ('transactionid', 'tuple')"
    return owner.execute(waiting).fetchone() is not None


def sweep() -> None:
    """What beat and a worker do every few seconds: look for what is due, tell Redis, and do what Redis tells of requests."""
    close_old_connections()
    tasks.sweep()
    for name, arguments in hints.taken():
        if name == webhooks.deliver.name:
            continue  # what waits to be told is rows of a person, here
        assert name == tasks.fulfil.name
        close_old_connections()
        tasks.fulfil(*arguments)


class PackageStore:
    """A small disk with nothing but the packages on it."""

    def __init__(self, services: Services) -> None:
        self._postgres = services.postgres
        self._folder = self._postgres.house.folder / "store"
        self._ballast = self._folder / "ballast"

    def mount(self) -> None:
        """Only a superuser makes a tablespace and nobody logs in as one: the server is stopped, and told by its own files.

        Raises CalledProcessError where nothing may be mounted."""
        account = self._postgres.account
        assert account is not None
        self.unmount()
        self._folder.mkdir(exist_ok=True)
        owned = f"size={STORE_MIB}m,mode=0700,uid={account.uid},gid={account.gid}"
        subprocess.run(["mount", "-t", "tmpfs", "-o", owned, "tmpfs", self._folder], check=True)
        place = self._folder / "tablespace"
        place.mkdir(mode=0o700)
        shutil.chown(place, account.uid, account.gid)
        self._postgres.stop()
        self._postgres._tool(
            "postgres", "--single", "-D", self._postgres.folder, "postgres",
            statements=f"CREATE TABLESPACE store OWNER zhiqing_owner LOCATION '{place}'\n",
        )  # fmt: skip
        self._postgres.start()
        with psycopg.connect(os.environ["DATABASE_OWNER_URL"], autocommit=True) as owner:
            self._move(owner, "store")

    def unmount(self) -> None:
        """Leaves everything as it was; also what a killed test left."""
        self.make_room()
        with psycopg.connect(os.environ["DATABASE_OWNER_URL"], autocommit=True) as owner:
            if owner.execute("SELECT FROM pg_tablespace WHERE spcname = 'store'").fetchone() is not None:
                self._move(owner, "pg_default")
                owner.execute("DROP TABLESPACE store")
        if self._folder.is_mount():
            subprocess.run(["umount", self._folder], check=True)

    def _move(self, owner: psycopg.Connection, tablespace: str) -> None:
        owner.execute(f"ALTER TABLE package_part SET TABLESPACE {tablespace}".encode())
        indexes = owner.execute("SELECT indexname FROM pg_indexes WHERE tablename = 'package_part'").fetchall()
        for (index,) in indexes:
            owner.execute(f"ALTER INDEX {index} SET TABLESPACE {tablespace}".encode())

    def empty(self) -> None:
        """No package, and no page of one that another could use."""
        self.make_room()
        with psycopg.connect(os.environ["DATABASE_OWNER_URL"], autocommit=True) as owner:
            owner.execute("TRUNCATE package_part")

    def fill(self) -> None:
        """Not a byte is left."""
        with self._ballast.open("wb", buffering=0) as ballast, suppress(OSError):
            while ballast.write(bytes(4096)):
                pass
        assert shutil.disk_usage(self._folder).free == 0

    def make_room(self) -> None:
        self._ballast.unlink(missing_ok=True)
