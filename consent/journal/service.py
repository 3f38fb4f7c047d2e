"""Whether the database was restored and nobody has replayed the journal yet: then calls are refused and workers wait.

It was restored where it does not say that it is in service, as no backup does; or where the journal's files know of a number
that it has not given out, which finds a `pg_restore` by hand, a snapshot or a standby that was behind.
"""

import logging
import time
from typing import Any

import psycopg
from django.db import Error, connection
from django.db.backends.signals import connection_created

from consent.journal import writing

LOOKED_AFTER_S = 1.0
_STANDING = """
    SELECT EXISTS (SELECT FROM service_state), (SELECT CASE WHEN is_called THEN last_value ELSE 0 END FROM journal_number)
"""

logger = logging.getLogger("zhiqing.journal")


class Watch:
    """What a process knows: looked at again each second, and with each new connection, since a restore ends the old ones."""

    def __init__(self) -> None:
        self.required = False
        self.looked_at: float | None = None

    def forget(self, **_: Any) -> None:
        self.looked_at = None


_watch = Watch()
connection_created.connect(_watch.forget, weak=False, dispatch_uid="consent.journal.service")


def replay_required() -> bool:
    """As of a second ago at the most. What cannot be asked now is as it was: the call itself will meet the database."""
    now = time.monotonic()
    if _watch.looked_at is None or now - _watch.looked_at >= LOOKED_AFTER_S:
        try:
            _watch.required = looked()
        except (Error, psycopg.Error, OSError) as error:
            logger.warning("whether a replay is required is unknown", exc_info=error)
        _watch.looked_at = now
    return _watch.required


def looked() -> bool:
    """The same as of now. Not within a transaction. Raises Django's database errors or psycopg's, OSError."""
    confirmed = writing.confirmed()
    connection.ensure_connection()
    try:
        found = connection.connection.execute(_STANDING).fetchone()
    except psycopg.errors.UndefinedTable:
        return True  # being restored, or from before there was a journal
    in_service, given_out = found
    return not in_service or confirmed > given_out


def close() -> None:
    """Refuse calls from now on. As the worker, within a transaction."""
    with connection.cursor() as cursor:
        cursor.execute("SET LOCAL ROLE zq_erase")
        cursor.execute("DELETE FROM service_state")
        cursor.execute("RESET ROLE")


def open_again() -> None:
    """Answer calls again. As the worker, within a transaction."""
    with connection.cursor() as cursor:
        cursor.execute("SET LOCAL ROLE zq_erase")
        cursor.execute(
            "INSERT INTO service_state (id, opened_at) VALUES (1, clock_timestamp()) ON CONFLICT (id) DO NOTHING"
        )
        cursor.execute("RESET ROLE")
    _watch.forget()


def begin_epoch(known: int) -> int:
    """Have every id that is given out from now on lie above any that was given out before, in this database or in one that was
    restored over; answers the epoch. `known`: the highest that the journal tells."""
    with connection.cursor() as cursor:
        cursor.execute("SET LOCAL ROLE zq_erase")
        cursor.execute("SELECT begin_epoch(%s)", [known])
        (epoch,) = cursor.fetchone()
        cursor.execute("RESET ROLE")
    return int(epoch)
