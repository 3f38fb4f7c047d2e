"""PostgreSQL's arrays as numpy's: in binary, whose elements have one size, so that numpy reads them where they lie."""

from collections.abc import Callable, Generator, Iterable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, TypeVar

import numpy as np
import psycopg
from django.db import connection
from psycopg.adapt import Buffer, Loader
from psycopg.pq import Format

from reports.columns.events import Column, Numbers

_ARRAYS = (1016, 1022, 1185)
"""Of bigint, double precision and timestamptz, by PostgreSQL's object ids."""
_HEADER = 20
"""Bytes of an array in binary before its first element: dimensions, nulls, type, length, first index."""
_DOUBLE = (701).to_bytes(4, "big")

Statement = tuple[str, Mapping[str, Any]]
"""And its parameters."""


class _AsItCame(Loader):
    format = Format.BINARY

    def load(self, data: Buffer) -> bytes:
        return bytes(data)


def take_as_it_comes(cursor: psycopg.Cursor[Any] | psycopg.ServerCursor[Any]) -> None:
    """Have it answer arrays as bytes, for `column`."""
    for oid in _ARRAYS:
        cursor.adapters.register_loader(oid, _AsItCame)


def column(array: bytes | None) -> Column:
    """Of an array without nulls; None has no element."""
    if array is None:
        return np.zeros(0, np.int64)
    kind = "f8" if array[8:12] == _DOUBLE else "i8"
    elements = np.frombuffer(array, [("length", ">i4"), ("value", f">{kind}")], offset=_HEADER)
    return elements["value"].astype(kind)


Made = TypeVar("Made")


def arrays_of_numbers(statement: str, parameters: Mapping[str, Any]) -> list[Numbers]:
    """The arrays of bigint that it answers, row by row. Raises Django's database errors."""
    with connection.wrap_database_errors:
        return [numbers(array) for row in _rows(connection.connection, statement, parameters) for array in row]


def numbers(array: bytes | None) -> Numbers:
    """`column` of an array of bigint."""
    return column(array).astype(np.int64, copy=False)


def ahead(statements: Iterable[Statement], make: Callable[[tuple[Any, ...]], Made]) -> Generator[Made]:
    """What is made of the one row that each answers (arrays as bytes): of the next one while one is used.

    In a thread. Other statements may be asked meanwhile: the connection takes one after another. Raises Django's database errors.
    """
    session = connection.connection

    def made(statement: Statement) -> Made:
        (row,) = _rows(session, *statement)
        return make(row)

    with connection.wrap_database_errors, ThreadPoolExecutor(1) as thread:
        coming: Future[Made] | None = None
        for statement in statements:
            after = thread.submit(made, statement)
            if coming is not None:
                yield coming.result()
            coming = after
        if coming is not None:
            yield coming.result()


def _rows(session: psycopg.Connection[Any], statement: str, parameters: Mapping[str, Any]) -> list[tuple[Any, ...]]:
    with psycopg.Cursor(session) as cursor:
        take_as_it_comes(cursor)
        # Planned anew each time: a plan made once for all would look at a list of subjects as one that is short.
        return cursor.execute(statement, parameters, binary=True, prepare=False).fetchall()
