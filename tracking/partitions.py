"""Partitions of the event table: one a day, ahead of time and on demand."""

from collections.abc import Iterable, Set
from datetime import date, datetime, timedelta

from django.db import connection, transaction

DAYS_AHEAD = 3
DAYS_AT_ONCE = 100
"""As many partitions a transaction makes: it holds a lock on each."""

_known: set[date] = set()
"""Days this process has seen a partition for. A partition that retention dropped since is found out by the write."""


def ensure_days(days: Iterable[date]) -> int:
    """Make what is missing, in transactions of their own (never one that holds a batch's locks); answers how many."""
    missing = sorted(set(days) - _known)
    if not missing:
        return 0
    made = 0
    for place in range(0, len(missing), DAYS_AT_ONCE):
        some = missing[place : place + DAYS_AT_ONCE]
        with transaction.atomic(durable=True), connection.cursor() as cursor:
            cursor.execute("SELECT ensure_event_days(%s::date[])", [some])
            made += int(cursor.fetchone()[0])
        _known.update(some)
    return made


def known_days() -> Set[date]:
    """The days for which this process has seen a partition."""
    return _known


def attached_days() -> list[date]:
    """The days that have a partition, whoever made it."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT to_date(right(relname, 8), 'YYYYMMDD') FROM pg_inherits JOIN pg_class part ON part.oid = inhrelid"
            " WHERE inhparent = 'event'::regclass AND NOT inhdetachpending ORDER BY 1"
        )
        return [row[0] for row in cursor.fetchall()]


def forget_days() -> None:
    """After a write found no partition: ask the database again."""
    _known.clear()


def days_around(now: datetime) -> list[date]:
    """Yesterday to the days ahead, UTC."""
    return [(now + timedelta(days=offset)).date() for offset in range(-1, DAYS_AHEAD + 1)]
