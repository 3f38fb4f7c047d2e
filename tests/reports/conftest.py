"""Histories by mini-program."""

from collections.abc import Callable, Iterator
from datetime import timedelta
from typing import Any
from zoneinfo import ZoneInfo

import psycopg
import pytest
from django.db import connection

from tests.cast import Program, make_program, now
from tests.reports.events import History
from tests.reports.test_activity_oracle import reported
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


@pytest.fixture
def figures(owner: psycopg.Connection, monkeypatch: pytest.MonkeyPatch) -> Callable[[Program], Any]:
    """The figures of the last days, which must be the same with rollups and without."""

    def told(program: Program) -> Any:
        history = History(program, owner)
        zone = ZoneInfo(program.zone)
        days = [(now() - timedelta(days=n)).astimezone(zone).date() for n in range(10)]
        found = reported(history, min(days), max(days))
        with monkeypatch.context() as without:
            without.setattr("reports.rollups.read.stored.read", lambda *_: {})
            assert reported(history, min(days), max(days)) == found
        return found

    return told
