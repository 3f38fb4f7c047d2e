"""The cast every test draws on: an empty database, mini-programs with notices and keys, callers over HTTP."""

import os
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from graphlib import TopologicalSorter

import psycopg
import pytest
from django.conf import settings
from django.db import connection
from pytest_django.plugin import DjangoDbBlocker

from config import env
from tests.cast import Program, make_program

# Every test client would otherwise look through all static files again.
settings.WHITENOISE_AUTOREFRESH = True

KEPT = {"django_migrations", "django_content_type", "auth_permission"}


_TABLES = """
    SELECT relname FROM pg_class
    WHERE relnamespace = 'public'::regnamespace AND relkind IN ('r', 'p') AND NOT relispartition
    ORDER BY relname
"""
_REFERENCES = """
    SELECT DISTINCT conrelid::regclass::text, confrelid::regclass::text FROM pg_constraint
    WHERE contype = 'f' AND conparentid = 0 AND conrelid <> confrelid ORDER BY 1, 2
"""


@pytest.fixture(scope="session")
def tables(migrated: None) -> list[str]:
    """Each before those that its rows refer to."""
    order: TopologicalSorter[str] = TopologicalSorter()
    with psycopg.connect(os.environ["DATABASE_OWNER_URL"]) as owner:
        for (table,) in owner.execute(_TABLES).fetchall():
            order.add(table)
        for table, referred in owner.execute(_REFERENCES).fetchall():
            order.add(referred, table)
    return [table for table in order.static_order() if table not in KEPT]


def empty(owner: psycopg.Connection, tables: list[str]) -> None:
    """Row by row, once whoever still writes has ended.

    TRUNCATE would make the files of all tables and indexes anew, which takes longer than most tests do.
    """
    owner.execute(f"LOCK TABLE {', '.join(tables)} IN EXCLUSIVE MODE")
    owner.execute("; ".join(f"DELETE FROM {table}" for table in tables))


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
    with psycopg.connect(os.environ["DATABASE_OWNER_URL"]) as owner:
        empty(owner, tables)


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
