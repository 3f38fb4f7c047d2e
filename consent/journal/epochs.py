"""Having ids go on after a restore: every one that is given out from now on lies above any that was given out before, in this
database or in one that was restored over."""

from typing import Any

import psycopg

from consent.journal import given_out, writing

_NEEDED_FROM = f"SELECT coalesce((SELECT needed_from FROM service_state), ({given_out.HIGHEST}))"
_BEGIN = "SELECT begin_epoch(%s)"
_STAND = "INSERT INTO service_state (id, needed_from, epoch) VALUES (1, %s, %s)"


def needed_from(connection: psycopg.Connection) -> int:
    """The number that the database had given out when its backup was made."""
    return int(_one(connection, _NEEDED_FROM)[0])


def begin(connection: psycopg.Connection, known: int, *, as_worker: bool) -> int | None:
    """Answers the epoch; None where the database is of an earlier version, and has to be migrated first. Calls are refused from then
    on. `known`: the highest that the journal tells; `as_worker`: not the owner's connection. Killed half-way, it is begun anew.

    Raises psycopg's errors, JournalAway.
    """
    if not given_out.remembered(connection):
        return None
    with connection.transaction():
        _become(connection, as_worker)
        # As it was before any epoch: the numbers move on, and the journal has to reach back.
        since = needed_from(connection)
        connection.execute("DELETE FROM service_state")
        connection.execute(_STAND, [since, None])
        epoch = int(_one(connection, _BEGIN, [known])[0])
        number, at = given_out.following(connection)
    writing.restored(number, at, epoch)
    with connection.transaction():
        _become(connection, as_worker)
        # Only now: had the journal not been told, the next restore would begin this epoch again.
        connection.execute("DELETE FROM service_state")
        connection.execute(_STAND, [since, epoch])
    return epoch


def _become(connection: psycopg.Connection, as_worker: bool) -> None:
    if as_worker:
        connection.execute("SET LOCAL ROLE zq_erase")


def _one(connection: psycopg.Connection, statement: str, parameters: list[Any] | None = None) -> tuple[Any, ...]:
    found = connection.execute(statement.encode(), parameters).fetchone()
    assert found is not None
    return tuple(found)
