"""Statements that share a round trip to the database: asked one after another, answered together.

    with together():
        clock = ask("SELECT clock_timestamp()")
        held = ask("SELECT ... WHERE subject_id = ANY(%s)", [ids])
    held.rows()

PostgreSQL runs them in order, each with a snapshot of its own (pipeline mode; a COPY cannot take part). Answers come in
binary: ids and times need no parsing. For the paths where round trips are what costs; elsewhere Django's cursors do.
"""

import struct
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from itertools import repeat
from typing import Any

import psycopg
from django.db import DEFAULT_DB_ALIAS, connections
from psycopg.adapt import Dumper
from psycopg.pq import Format

_ARRAY = struct.Struct(">5i")
_EMPTY = struct.Struct(">3i")
_INT8 = struct.Struct(">iq")


class Int8s(bytes):
    """bigint[] as PostgreSQL sends and takes it: a batch names a thousand ids, and psycopg would turn over each."""

    @classmethod
    def of(cls, ids: Collection[int]) -> "Int8s":
        return cls(_packed(_Int8sDumper.element, len(ids), b"".join(map(_INT8.pack, repeat(8), ids))))


class Byteas(bytes):
    """bytea[], in the same manner."""

    @classmethod
    def of(cls, values: Collection[bytes], *, size: int) -> "Byteas":
        """`values` of one size each."""
        length = size.to_bytes(4, "big")
        return cls(_packed(_ByteasDumper.element, len(values), b"".join([length + value for value in values])))


class Json(bytes):
    """json, encoded: several rows or columns in one parameter, which psycopg hands on as it is."""


def _packed(element: int, count: int, items: bytes) -> bytes:
    """One dimension from 1, no nulls (PostgreSQL's array_recv); an empty array has no dimension."""
    return _ARRAY.pack(1, 0, element, count, 1) + items if count else _EMPTY.pack(0, 0, element)


class _Packed(Dumper):
    format = Format.BINARY

    def dump(self, obj: bytes) -> bytes:
        return bytes(obj)


class _Int8sDumper(_Packed):
    oid, element = 1016, 20


class _ByteasDumper(_Packed):
    oid, element = 1001, 17


class _JsonDumper(_Packed):
    oid = 114


psycopg.adapters.register_dumper(Int8s, _Int8sDumper)
psycopg.adapters.register_dumper(Byteas, _ByteasDumper)
psycopg.adapters.register_dumper(Json, _JsonDumper)


class Answer:
    """What a statement answers. Raises Django's database errors."""

    __slots__ = ("_cursor", "_errors")

    def __init__(self, cursor: psycopg.Cursor, errors: AbstractContextManager[None]) -> None:
        self._cursor = cursor
        self._errors = errors

    def rows(self) -> list[tuple[Any, ...]]:
        with self._errors:
            return self._cursor.fetchall()


def ask(statement: str, parameters: Sequence[object] | Mapping[str, object] = ()) -> Answer:
    """Send a statement; outside `together` it is answered at once."""
    # Looked up once: `django.db.connection` would look it up for each of its attributes.
    connection = connections[DEFAULT_DB_ALIAS]
    with connection.wrap_database_errors:
        cursor = psycopg.Cursor(connection.connection)
        cursor.execute(statement, parameters, binary=True)
    return Answer(cursor, connection.wrap_database_errors)


@contextmanager
def together() -> Iterator[None]:
    """Send what is asked in the block without waiting in between. A transaction must be open."""
    connection = connections[DEFAULT_DB_ALIAS]
    with connection.wrap_database_errors, connection.connection.pipeline():
        yield


def ask_commit() -> None:
    """Commit with what is asked in the same block. The surrounding `atomic`, a durable one, finds it done.

    Where a statement of the block fails PostgreSQL skips this one, and the block raises.
    """
    ask("COMMIT")
