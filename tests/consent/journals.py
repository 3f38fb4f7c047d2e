"""The journal of a test: its lines, and what they name."""

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import psycopg
import pytest

from consent.journal import files, service, writing
from consent.journal.entries import Entry, Kind, handle_hash
from consent.journal.files import FileSink
from tests import stack

AT = datetime(2026, 3, 1, 12, tzinfo=UTC)


class Journal:
    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def lines(self) -> list[dict[str, Any]]:
        return [json.loads(line) for path in files.files(self.folder) for line in path.read_bytes().splitlines()]

    def told(self) -> list[tuple[str, ...]]:
        """(kind, purposes…) of the entries about people, in order."""
        return [(line["kind"], *line.get("purposes", ())) for line in self.lines() if "handle" in line]

    def newest(self) -> Path:
        return files.files(self.folder)[-1]


@contextmanager
def journaling(folder: Path, url: str | None = None, token: str | None = None) -> Iterator[Journal]:
    """In the block acts of this process are journaled into the folder."""
    writing.configure(folder=folder, url=url, token=token)
    try:
        yield Journal(folder)
    finally:
        writing.configure(folder=None, url=None, token=None)


def went_back(owner: psycopg.Connection, number: int) -> None:
    """The database remembers no higher number than that; its sequence counts further, as after a recovery from the write-ahead log."""
    owner.execute("DELETE FROM journal_given_out WHERE number > %s", [number])
    owner.execute("SELECT setval('journal_number', last_value + 32) FROM journal_number")


def hash_of(owner: psycopg.Connection, pseudonym: str) -> str:
    row = owner.execute("SELECT erasure_handle FROM subject WHERE pseudonym = %s", [pseudonym]).fetchone()
    assert row is not None
    return handle_hash(bytes(row[0]))


def entry(number: int, at: datetime = AT, kind: Kind = Kind.RESTRICTION) -> Entry:
    return Entry(number, at, kind, "ab" * 32)


def written(folder: Path, *entries: Entry) -> FileSink:
    sink = FileSink(folder)
    for one in entries:
        sink.write(one, durable=True)
    return sink


def withdrawal() -> dict[str, Any]:
    """Alice withdraws from analytics."""
    told = {"subject": {"openid": "alice"}, "locale": "en", "method": "dialog", "act": "single"}
    return told | {"decisions": [{"purpose": "analytics", "decision": "withdrawn"}]}


@contextmanager
def database_beside(owner: psycopg.Connection, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """In the block commands and servers have an empty database; answers its owner's address."""
    owner.execute("CREATE DATABASE test_restored")
    try:
        with monkeypatch.context() as beside:
            for variable in stack.URLS:
                beside.setenv(variable, stack.named(os.environ[variable], "test_restored"))
            yield os.environ["DATABASE_OWNER_URL"]
    finally:
        stack.dropped(owner, "test_restored")


@pytest.fixture
def journal(tmp_path: Path, database: None) -> Iterator[Journal]:
    with journaling(tmp_path / "journal") as made:
        yield made


@pytest.fixture(autouse=True)
def as_it_was(owner: psycopg.Connection, database: None) -> Iterator[None]:
    """Other tests find the numbers that they would have found, in a database that is in service."""
    numbers = "SELECT format('public.%I', sequencename), last_value FROM pg_sequences WHERE schemaname = 'public'"
    before = owner.execute(numbers).fetchall()
    yield
    for name, last in before:
        owner.execute("SELECT setval(%s::regclass, %s, %s)", [name, last or 1, last is not None])
    owner.execute("DELETE FROM service_state; INSERT INTO service_state (id, opened_at) VALUES (1, now())")


@pytest.fixture(autouse=True)
def looked_at_anew() -> Iterator[None]:
    service._watch.forget()
    yield
    service._watch.forget()
