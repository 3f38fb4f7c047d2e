"""The search for a mark in everything the service writes: the database and its files, Redis, logs, files under var."""

import base64
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psycopg
import redis

from config.postgres import PLACE_NOTE
from tests import stack


@dataclass(frozen=True)
class Search:
    """For one mark of ASCII letters. `folder`: what the test's own servers write."""

    mark: str
    owner: psycopg.Connection
    broker: redis.Redis
    folder: Path

    def everywhere(self) -> list[str]:
        """Where it is found, by names of places; nothing of a value."""
        return [*self.in_database(), *self.in_sessions(), *self.in_redis(), *self.in_files(), *self.in_cluster()]

    def in_database(self) -> list[str]:
        """table.column, looked for in each value as text and in the bytes of bytea."""
        columns = self.owner.execute(
            "SELECT c.relname, a.attname, a.atttypid = 'bytea'::regtype FROM pg_class c JOIN pg_attribute a"
            " ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped WHERE c.relkind IN ('r', 'p')"
            " AND c.relnamespace = 'public'::regnamespace AND NOT c.relispartition"
        ).fetchall()
        found = []
        for table, column, is_bytes in columns:
            text, blob = (
                f"\"{column}\"::text LIKE '%{self.mark}%'",
                f"position('{self.mark}'::bytea in \"{column}\") > 0",
            )
            asked = f'SELECT 1 FROM "{table}" WHERE {blob if is_bytes else text} LIMIT 1'
            if self.owner.execute(asked.encode()).fetchone():
                found.append(f"{table}.{column}")
        return found

    def in_sessions(self) -> list[str]:
        """Statements that sessions show."""
        seen = self.owner.execute(
            "SELECT 1 FROM pg_stat_activity WHERE pid <> pg_backend_pid() AND query LIKE %s", [f"%{self.mark}%"]
        )
        return ["pg_stat_activity.query"] if seen.fetchone() else []

    def in_redis(self) -> list[str]:
        """Keys, themselves included."""
        keys = self.broker.scan_iter()
        return [repr(key) for key in keys if any(self.holds(held) for held in [key, *self._values(key)])]

    def in_files(self) -> list[str]:
        files = [file for folder in self._folders() for file in folder.rglob("*") if file.is_file()]
        return [str(file) for file in files if self.holds(file.read_bytes())]

    def in_cluster(self) -> list[str]:
        """PostgreSQL's own files: pages, indexes, what aborted transactions left, the write-ahead log.

        Files come and go while it runs.
        """
        found = []
        for file in self.cluster():
            try:
                data = file.read_bytes()
            except FileNotFoundError:
                continue
            if self.holds(data):
                found.append(file.name)
        return found

    @staticmethod
    def cluster() -> list[Path]:
        """None where the tests run on a server that is not their own."""
        note = stack.folder() / PLACE_NOTE
        place = Path(note.read_text()) if note.exists() else stack.folder() / "postgres"
        running = (place / "data" / "postmaster.pid").exists()
        return [file for file in (place / "data").rglob("*") if file.is_file()] if running else []

    def holds(self, data: bytes) -> bool:
        return any(needle in data for needle in needles(self.mark))

    def _values(self, key: bytes) -> list[bytes]:
        """Everything below a key, as it is: DUMP compresses. A key may have gone since it was listed: a worker takes hints."""
        read: dict[bytes, Any] = {
            b"none": list,
            b"string": lambda: [self.broker.get(key)],
            b"list": lambda: self.broker.lrange(key, 0, -1),
            b"set": lambda: self.broker.smembers(key),
            b"zset": lambda: self.broker.zrange(key, 0, -1),
            b"hash": lambda: [part for pair in self.broker.hgetall(key).items() for part in pair],
        }
        kind: Any = self.broker.type(key)
        return [value for value in read[kind]() if value is not None]

    def _folders(self) -> list[Path]:
        """What the tests' stack, the web server and the worker write."""
        logs = [folder for folder in (stack.folder() / "log", stack.folder() / "redis") if folder.exists()]
        return [self.folder, Path(os.environ["VAR"]), *logs]


def needles(mark: str) -> list[bytes]:
    """The mark as it is, in hexadecimal, and in base64 at each of its three alignments (Celery's message bodies)."""
    plain = mark.encode()
    shifted = [base64.b64encode(b"-" * shift + plain + b"-" * 3) for shift in range(3)]
    # Characters that share bits with a neighbour of the mark are cut off.
    inner = [text[-(-shift * 8 // 6) : (shift + len(plain)) * 8 // 6] for shift, text in enumerate(shifted)]
    return [plain, plain.hex().encode(), *inner]
