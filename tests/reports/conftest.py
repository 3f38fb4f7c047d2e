"""Histories by mini-program."""

from collections.abc import Callable, Iterator

import psycopg
import pytest
from django.db import connection

from tests.cast import make_program
from tests.reports.events import History
from tracking.partitions import forget_days

_PARTITIONS = "SELECT inhrelid::regclass::text FROM pg_inherits WHERE inhparent = 'event'::regclass"


@pytest.fixture
def history(database: None, owner: psycopg.Connection) -> Iterator[Callable[..., History]]:
    """`history("Asia/Tehran")`: a new mini-program and what its subjects did.

    The partitions made for it are dropped, or every later test of the session would empty them one by one.
    """

    def made(zone: str = "Asia/Shanghai", *, sandbox: bool = False) -> History:
        return History(make_program(zone=zone, sandbox=sandbox), owner)

    before = set(owner.execute(_PARTITIONS).fetchall())
    yield made
    connection.close()
    for (name,) in set(owner.execute(_PARTITIONS).fetchall()) - before:
        owner.execute(f"DROP TABLE {name}")
    forget_days()
