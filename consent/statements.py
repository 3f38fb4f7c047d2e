"""Statements that share a round trip to the database: asked one after another, answered together.

    with together():
        clock = ask("SELECT clock_timestamp()")
        held = ask("SELECT ... WHERE subject_id = ANY(%s)", [ids])
    held.rows()

PostgreSQL runs them in order, each with a snapshot of its own (pipeline mode; a COPY cannot take part). Answers come in
binary: ids and times need no parsing. For the paths where round trips are what costs; elsewhere Django's cursors do.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import psycopg
from django.db import connection


class Answer:
    """What a statement answers. Raises Django's database errors."""

    __slots__ = ("_cursor",)

    def __init__(self, cursor: psycopg.Cursor) -> None:
        self._cursor = cursor

    def rows(self) -> list[tuple[Any, ...]]:
        with connection.wrap_database_errors:
            return self._cursor.fetchall()


def ask(statement: str, parameters: Sequence[object] = ()) -> Answer:
    """Send a statement; outside `together` it is answered at once."""
    with connection.wrap_database_errors:
        cursor = psycopg.Cursor(connection.connection)
        cursor.execute(statement, parameters, binary=True)
    return Answer(cursor)


@contextmanager
def together() -> Iterator[None]:
    """Send what is asked in the block without waiting in between. A transaction must be open."""
    with connection.wrap_database_errors, connection.connection.pipeline():
        yield
