"""The owner's connection that stays open between tests: a new one has to learn of every table first."""

import os

import psycopg

_kept: psycopg.Connection | None = None


def as_owner() -> psycopg.Connection:
    """The same one again, or another where a test has restarted PostgreSQL."""
    global _kept
    if _kept is not None:
        try:
            _kept.execute("SELECT")
        except psycopg.OperationalError:
            _kept = None
    if _kept is None:
        _kept = psycopg.connect(os.environ["DATABASE_OWNER_URL"], autocommit=True)
    return _kept


def close() -> None:
    """A database that is copied has nobody else in it."""
    global _kept
    if _kept is not None:
        _kept.close()
    _kept = None
