"""A pytest plugin that works before Django's: the PostgreSQL and Redis the tests run on, and an empty database in it.

Embedded ones under var/test (or ZHIQING_TEST_VAR) unless DATABASE_URL (with DATABASE_OWNER_URL, DATABASE_WORKER_URL, REDIS_URL) names others;
there the owner must be allowed to create databases and roles with BYPASSRLS.

With `-n 2` (pytest-xdist) each worker has a PostgreSQL and a Redis of its own, since tests stop and flush them; the process
that hands out the tests has none.
"""

import contextlib
import os
import secrets
import subprocess
import sys
import tempfile
from collections.abc import Generator, Iterator
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit

import psycopg
import pytest
from psycopg import sql

from config import embedded
from consent.vault import keyring
from consent.vault.store import FileStore

ROOT = Path(__file__).resolve().parent.parent
URLS = ("DATABASE_URL", "DATABASE_WORKER_URL", "DATABASE_OWNER_URL")
NOWHERE = "postgresql://none@/none?host=/nonexistent"
"""For the settings of the process that hands out the tests; its workers inherit the environment."""
_running = contextlib.ExitStack()
services: embedded.Services | None = None
"""The embedded PostgreSQL and Redis, for tests that break them; None where the environment names others."""


def folder() -> Path:
    """Where the embedded services of this process keep their data, logs and sockets."""
    return Path(os.environ.get("ZHIQING_TEST_VAR") or ROOT / "var" / "test") / os.environ.get("PYTEST_XDIST_WORKER", "")


def named(url: str, name: str) -> str:
    """The address of another database of the same server."""
    parts = urlsplit(url)
    return urlunsplit(parts._replace(path=f"/{name}"))


def dropped(server: psycopg.Connection, name: str) -> None:
    """DROP DATABASE, if there is one, with whoever is connected to it.

    Not WITH (FORCE): that is refused to an owner who is no superuser while autovacuum, which belongs to no role, is in there
    ("permission denied to terminate process"). A plain DROP ends autovacuum itself, and waits five seconds for the others to go.
    """
    server.execute(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = %s AND usename IS NOT NULL", [name]
    )
    server.execute(sql.SQL("DROP DATABASE IF EXISTS {}").format(sql.Identifier(name)))


def _fresh_database() -> None:
    """CREATE DATABASE test_<name>, and point every URL at it."""
    owner = os.environ["DATABASE_OWNER_URL"]
    name = "_".join(["test", urlsplit(owner).path.lstrip("/"), os.environ.get("PYTEST_XDIST_WORKER", "")]).rstrip("_")
    with psycopg.connect(owner, autocommit=True) as connection:
        dropped(connection, name)
        connection.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(name)))
    for variable in URLS:
        os.environ[variable] = named(os.environ[variable], name)


def manage(*arguments: str, role: str = "owner") -> str:
    """Run manage.py in a process of its own, as an operator would; answers its stdout."""
    done = subprocess.run(
        [sys.executable, str(ROOT / "manage.py"), *arguments],
        env={**os.environ, "ZHIQING_ROLE": role},
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        raise RuntimeError(f"manage.py {arguments[0]} exited {done.returncode}:\n{done.stdout}{done.stderr}")
    return done.stdout


def _start(*, hands_out: bool) -> None:
    """`hands_out`: this process starts others for the tests, and runs none."""
    global services
    private = Path(_running.enter_context(tempfile.TemporaryDirectory(prefix="zhiqing-test-")))
    if hands_out:
        os.environ.setdefault("DATABASE_URL", NOWHERE)
    elif os.environ.get("DATABASE_URL", NOWHERE) == NOWHERE:
        services = _running.enter_context(embedded.services(folder(), durable=False))
        os.environ.update(services.environment)
        for name in ("ZHIQING_SECRET_KEY_FILE", "ZHIQING_JOURNAL_DIR", "ZHIQING_LEDGER_FOLDER"):
            os.environ.pop(name, None)
    os.environ["VAR"] = str(private)
    os.environ["ZHIQING_SECRET_KEY"] = secrets.token_urlsafe(50)
    os.environ["ZHIQING_KEYRING_FILE"] = str(private / "keyring.json")
    os.environ["ZHIQING_TLS"] = "0"
    os.environ["DJANGO_SETTINGS_MODULE"] = "config.settings"
    keyring.create(FileStore(private / "keyring.json"))
    if not hands_out:
        _fresh_database()


@pytest.hookimpl(wrapper=True)
def pytest_load_initial_conftests(early_config: pytest.Config) -> Generator[None]:
    """Before pytest-django's, which reads the settings."""
    distributed = bool(early_config.known_args_namespace.numprocesses)
    try:
        _start(hands_out=distributed and "PYTEST_XDIST_WORKER" not in os.environ)
    except BaseException:
        _running.close()
        raise
    yield


def pytest_unconfigure() -> None:
    _running.close()


@pytest.fixture(scope="session")
def migrated() -> Iterator[None]:
    """The schema, made as an operator makes it."""
    manage("create_roles")
    manage("migrate", "--verbosity=0")
    yield
