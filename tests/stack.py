"""A pytest plugin, loaded before Django: the PostgreSQL and Redis the tests run on, and an empty database in it.

Embedded ones under var/test (or ZHIQING_TEST_VAR) unless DATABASE_URL (with DATABASE_OWNER_URL, DATABASE_WORKER_URL, REDIS_URL) names others;
there the owner must be allowed to create databases and roles with BYPASSRLS.
"""

import contextlib
import os
import secrets
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit

import psycopg
import pytest
from psycopg import sql

from config import embedded
from consent.vault import keyring

ROOT = Path(__file__).resolve().parent.parent
URLS = ("DATABASE_URL", "DATABASE_WORKER_URL", "DATABASE_OWNER_URL")
_running = contextlib.ExitStack()
services: embedded.Services | None = None
"""The embedded PostgreSQL and Redis, for tests that break them; None where the environment names others."""


def _named(url: str, name: str) -> str:
    parts = urlsplit(url)
    return urlunsplit(parts._replace(path=f"/{name}"))


def _fresh_database() -> None:
    """CREATE DATABASE test_<name>, and point every URL at it."""
    owner = os.environ["DATABASE_OWNER_URL"]
    name = "test_" + urlsplit(owner).path.lstrip("/")
    with psycopg.connect(owner, autocommit=True) as connection:
        connection.execute(sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(sql.Identifier(name)))
        connection.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(name)))
    for variable in URLS:
        os.environ[variable] = _named(os.environ[variable], name)


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


def _start() -> None:
    global services
    private = Path(_running.enter_context(tempfile.TemporaryDirectory(prefix="zhiqing-test-")))
    if not os.environ.get("DATABASE_URL"):
        folder = Path(os.environ.get("ZHIQING_TEST_VAR") or ROOT / "var" / "test")
        services = _running.enter_context(embedded.services(folder, durable=False))
        os.environ.update(services.environment)
        os.environ.pop("ZHIQING_SECRET_KEY_FILE", None)
    os.environ["VAR"] = str(private)
    os.environ["ZHIQING_SECRET_KEY"] = secrets.token_urlsafe(50)
    os.environ["ZHIQING_KEYRING_FILE"] = str(private / "keyring.json")
    os.environ["ZHIQING_TLS"] = "0"
    os.environ["DJANGO_SETTINGS_MODULE"] = "config.settings"
    keyring.create(private / "keyring.json")
    _fresh_database()


try:
    _start()
except BaseException:
    _running.close()
    raise


def pytest_unconfigure() -> None:
    _running.close()


@pytest.fixture(scope="session")
def migrated() -> Iterator[None]:
    """The schema, made as an operator makes it."""
    manage("create_roles")
    manage("migrate", "--verbosity=0")
    yield
