"""The cast every test draws on: an empty database, mini-programs with notices and keys, callers over HTTP."""

import os
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

import hypothesis
import psycopg
import pytest
from django.conf import settings
from django.db import connection
from playwright.sync_api import Browser
from pytest_django.plugin import DjangoDbBlocker

from config import env
from tests import chromium
from tests.cast import Program, make_program
from tests.consent.signed import Ring
from tests.journeys.server import Server, serving
from tests.owner import as_owner

# A machine that others use too is slow, and that says nothing about a test.
hypothesis.settings.register_profile("patient", deadline=None, suppress_health_check=[hypothesis.HealthCheck.too_slow])
hypothesis.settings.load_profile("patient")
# Every test client would otherwise look through all static files again.
settings.WHITENOISE_AUTOREFRESH = True

KEPT = {
    "django_migrations",
    "django_content_type",
    "auth_permission",
    "auth_group",
    "auth_group_permissions",
    "service_state",
}
"""What a migration has put in place: permissions, the roles that are made of them, and that the database is in service."""

MANY = 1_000
"""Rows of a table, for which it is quicker to make all tables' files anew."""


@pytest.fixture(scope="session")
def tables(migrated: None) -> list[str]:
    rows = as_owner().execute(
        "SELECT relname FROM pg_class WHERE relnamespace = 'public'::regnamespace AND relkind IN ('r', 'p')"
        " AND NOT relispartition"
    )
    return sorted({str(row[0]) for row in rows} - KEPT)


@pytest.fixture
def owner(migrated: None) -> Iterator[psycopg.Connection]:
    """The database as its owner sees it: everything, whatever the tenant."""
    with psycopg.connect(os.environ["DATABASE_OWNER_URL"], autocommit=True) as connected:
        yield connected


@pytest.fixture
def database(tables: list[str], django_db_blocker: DjangoDbBlocker) -> Iterator[None]:
    """Real transactions as the application's login; emptied afterwards by the owner."""
    with django_db_blocker.unblock():
        yield
        connection.close()
    _empty(as_owner(), tables)


def _empty(owner: psycopg.Connection, tables: list[str]) -> None:
    """Most tests write a few rows into some tables. Foreign keys are looked at when all is gone."""
    count = " UNION ALL ".join(
        f"SELECT '{table}', count(*) FROM (SELECT FROM {table} LIMIT {MANY}) few" for table in tables
    )
    held = {table: rows for table, rows in owner.execute(count).fetchall() if rows}
    if MANY in held.values():
        owner.execute(f"TRUNCATE {', '.join(tables)} CASCADE")
    elif held:
        owner.execute("; ".join(f"DELETE FROM {table}" for table in held))


@pytest.fixture(scope="module")
def server(migrated: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """What a browser meets."""
    with serving(tmp_path_factory.mktemp("web"), workers=2) as started:
        yield started


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with chromium.running() as started:
        yield started


@pytest.fixture
def as_worker(database: None) -> Callable[[], AbstractContextManager[None]]:
    """`with as_worker():` what a Celery worker does, under the worker's login."""

    @contextmanager
    def working() -> Iterator[None]:
        application = dict(connection.settings_dict)
        url = os.environ["DATABASE_WORKER_URL"]
        connection.close()
        connection.settings_dict.update(env.database(url))
        try:
            yield
        finally:
            connection.close()
            connection.settings_dict.update(application)

    return working


@pytest.fixture
def program(database: None) -> Program:
    """A mini-program with a notice, the starter catalogue, and a key with every scope."""
    return make_program()


@pytest.fixture
def sandbox(database: None) -> Program:
    """The same as a sandbox: reports with k = 1."""
    return make_program(sandbox=True)


@pytest.fixture
def other(database: None) -> Program:
    """Somebody else's mini-program."""
    return make_program()


@pytest.fixture
def own_ring(tmp_path: Path) -> Iterator[Ring]:
    """The service uses a keyring of the test's own."""
    before = settings.ZHIQING_KEYRING_FILE
    yield Ring(tmp_path / "keyring.json")
    settings.ZHIQING_KEYRING_FILE = before
