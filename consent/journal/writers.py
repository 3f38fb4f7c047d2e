"""Who writes the journal: each folder has a name, and a replay is given every one of them, or is told which it goes without.

The database learns a name in the transaction of the first act that is written there, so a backup knows the writers of its time; each
entry names those that the database knew then, so journals tell of who came after the backup.
"""

from collections.abc import Collection
from datetime import timedelta

import psycopg
from django.db import connection

from consent.journal import epochs, given_out
from consent.journal.files import Kept

_KNOWN = "SELECT id FROM journal_writer WHERE number <= %s"
_FORGET = "DELETE FROM journal_writer WHERE at < clock_timestamp() - make_interval(secs => %s)"


def known(database: psycopg.Connection) -> set[str]:
    """Who wrote by the time of the backup; nobody where the database is of an earlier version. Raises psycopg's errors."""
    if not given_out.remembered(database):
        return set()
    return {str(row[0]) for row in database.execute(_KNOWN, [epochs.needed_from(database)]).fetchall()}


def missing(database: psycopg.Connection, journals: Collection[Kept]) -> set[str]:
    """Whose entries are needed and in none of the journals; nobody's where the database is of an earlier version, and has to be migrated
    first. Who became known to the database after its restore has nothing that it lacks. Raises psycopg's errors."""
    if not given_out.remembered(database):
        return set()
    since = epochs.needed_from(database)
    needed = known(database)
    for entry in (entry for kept in journals for entry in kept.entries if entry.number > since):
        needed |= set(entry.beside)
    return needed.difference(*(kept.writers for kept in journals))


def forget(older: timedelta) -> None:
    """Names that no backup needs; who still writes is known again with the next entry. As the worker, within a transaction."""
    with connection.cursor() as cursor:
        cursor.execute("SET LOCAL ROLE zq_erase")
        cursor.execute(_FORGET, [older.total_seconds()])
        cursor.execute("RESET ROLE")
