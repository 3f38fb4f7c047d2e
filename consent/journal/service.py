"""Whether the database was restored and nobody has replayed the journal yet: then calls are refused and workers wait.

It was restored where it does not say that it is in service, as no backup does; or where the journal's files know of a number
that it does not remember to have given out, which finds a `pg_restore` by hand, a snapshot or a standby that was behind. Between that and being in
service again it waits for its replay: ids go on above all that were given out, so that what a replay needs may be entered.
"""

import logging
import time
from enum import IntEnum
from typing import Any

import psycopg
from django.db import Error, connection
from django.db.backends.signals import connection_created

from consent.journal import given_out, writing

LOOKED_AFTER_S = 1.0
_STANDING = f"""
    SELECT EXISTS (SELECT FROM service_state WHERE opened_at IS NOT NULL),
        EXISTS (SELECT FROM service_state WHERE epoch IS NOT NULL), ({given_out.HIGHEST})
"""

logger = logging.getLogger("zhiqing.journal")


class Standing(IntEnum):
    """Of the database, each with what the ones before it lack. `RESTORED`: ids would be given out twice; `WAITING`: they would not,
    and the replay is left to do."""

    UNMIGRATED = 0
    RESTORED = 1
    WAITING = 2
    IN_SERVICE = 3


class Watch:
    """What a process knows: looked at again each second, and with each new connection, since a restore ends the old ones."""

    def __init__(self) -> None:
        self.standing = Standing.IN_SERVICE
        self.looked_at: float | None = None

    def forget(self, **_: Any) -> None:
        self.looked_at = None


_watch = Watch()
connection_created.connect(_watch.forget, weak=False, dispatch_uid="consent.journal.service")


def as_known() -> Standing:
    """As of a second ago at the most. What cannot be asked now is as it was: the call itself will meet the database."""
    now = time.monotonic()
    if _watch.looked_at is None or now - _watch.looked_at >= LOOKED_AFTER_S:
        try:
            _watch.standing = standing()
        except (Error, psycopg.Error, OSError) as error:
            logger.warning("whether a replay is required is unknown", exc_info=error)
        _watch.looked_at = now
    return _watch.standing


def standing() -> Standing:
    """The same as of now. Not within a transaction. Raises Django's database errors or psycopg's, OSError."""
    confirmed = writing.confirmed()
    connection.ensure_connection()
    try:
        found = connection.connection.execute(_STANDING.encode()).fetchone()
    except (psycopg.errors.UndefinedTable, psycopg.errors.UndefinedColumn):
        return Standing.UNMIGRATED  # of an earlier version, or being restored
    opened, goes_on, highest = found
    if confirmed > highest or not (opened or goes_on):
        return Standing.RESTORED
    return Standing.IN_SERVICE if opened else Standing.WAITING


def open_again() -> None:
    """Answer calls again. As the worker, within a transaction."""
    with connection.cursor() as cursor:
        cursor.execute("SET LOCAL ROLE zq_erase")
        cursor.execute("DELETE FROM service_state WHERE opened_at IS NULL")
        cursor.execute(
            "INSERT INTO service_state (id, opened_at) VALUES (1, clock_timestamp()) ON CONFLICT (id) DO NOTHING"
        )
        cursor.execute("RESET ROLE")
    _watch.forget()
