"""The numbers of the journal's entries that the database has given out: what it remembers of how far it was.

A sequence does not remember that: after a recovery from the write-ahead log (a standby that is promoted, a point in time, a
snapshot) it counts up to 32 numbers further than it had given out (PostgreSQL, "Sequence Manipulation Functions"; SEQ_LOG_VALS).
Each number is therefore a row as well, in the transaction of what it was given out for: the two are lost together or not at all.
"""

from datetime import datetime

import psycopg
from django.db import connection

_CAN = "SELECT to_regclass('public.journal_given_out') IS NOT NULL"
HIGHEST = "SELECT coalesce(max(number), 0) FROM journal_given_out"
NEXT = "INSERT INTO journal_given_out (number) VALUES (nextval('journal_number')) RETURNING number"
# The highest stays: it is all that is asked for. One that commits later and is lower goes the next time.
_FORGET = "DELETE FROM journal_given_out WHERE number < (SELECT max(number) FROM journal_given_out)"


def remembered(database: psycopg.Connection) -> bool:
    """Whether the database is of a version that remembers; one of an earlier version has to be migrated first. Raises psycopg's errors."""
    found = database.execute(_CAN).fetchone()
    return found is not None and bool(found[0])


def following(database: psycopg.Connection) -> tuple[int, datetime]:
    """The next number, which is given out when the caller's transaction commits, and the time. Raises psycopg's errors."""
    found = database.execute(f"WITH given AS ({NEXT}) SELECT number, clock_timestamp() FROM given".encode()).fetchone()
    assert found is not None
    return found[0], found[1]


def forget() -> None:
    """All but the highest. As the worker, within a transaction."""
    with connection.cursor() as cursor:
        cursor.execute("SET LOCAL ROLE zq_erase")
        cursor.execute(_FORGET)
        cursor.execute("RESET ROLE")
