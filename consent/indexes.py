"""Indexes of large live tables, for migrations that are not atomic."""

import time

from django.db import OperationalError, migrations, models
from django.db.backends.utils import CursorWrapper

TRIES, PAUSE_S = 60, 1.0
_FOREVER, _AS_BEFORE = "SET lock_timeout = 0", "RESET lock_timeout"


def built_beside_writes(model: str, index: models.Index, definition: str) -> migrations.SeparateDatabaseAndState:
    """`definition`: what follows CREATE INDEX CONCURRENTLY and the name. What a build that failed left is dropped first,
    so that the migration may be run again."""
    drop = f"DROP INDEX CONCURRENTLY IF EXISTS {index.name}"
    create = f"CREATE INDEX CONCURRENTLY {index.name} {definition}"
    return migrations.SeparateDatabaseAndState(
        # Each waits for whoever was there before it, however long, and nobody waits for it.
        database_operations=[migrations.RunSQL([_FOREVER, drop, create, _AS_BEFORE], [_FOREVER, drop, _AS_BEFORE])],
        state_operations=[migrations.AddIndex(model, index)],
    )


def beside_all(cursor: CursorWrapper, statement: str) -> None:
    """It waits for whoever was there before it, however long, and nobody waits for it."""
    cursor.execute(_FOREVER)
    cursor.execute(statement)
    cursor.execute(_AS_BEFORE)


def in_a_moment(cursor: CursorWrapper, statement: str) -> None:
    """What others have to wait behind: it waits for half a second itself, and then lets them pass.

    Raises OperationalError where there was no such moment in a minute and a half.
    """
    cursor.execute("SET lock_timeout = '500ms'")
    for left in reversed(range(TRIES)):
        try:
            cursor.execute(statement)
            break
        except OperationalError:
            if not left:
                raise
            time.sleep(PAUSE_S)
    cursor.execute("RESET lock_timeout")
