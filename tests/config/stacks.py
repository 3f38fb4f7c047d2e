"""What the tests of embedded stacks share."""

import os
import stat
from pathlib import Path

import psycopg
import pytest

from config import embedded

AS_ROOT = pytest.mark.skipif(os.geteuid() != 0, reason="only as root PostgreSQL's files are outside VAR")


def owner(stack: embedded.Services) -> psycopg.Connection:
    return psycopg.connect(stack.environment["DATABASE_OWNER_URL"], autocommit=True)


def note(stack: embedded.Services, text: str) -> None:
    with owner(stack) as connection:
        connection.execute("CREATE TABLE IF NOT EXISTS note (text text)")
        connection.execute("INSERT INTO note VALUES (%s)", [text])


def notes(stack: embedded.Services) -> list[str]:
    with owner(stack) as connection:
        return [row[0] for row in connection.execute("SELECT text FROM note ORDER BY text")]


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)
