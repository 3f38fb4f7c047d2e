"""Indexes of large live tables, for migrations that are not atomic."""

import time

from django.db import OperationalError, migrations, models
from django.db.backends.utils import CursorWrapper

TRIES, PAUSE_S = 60, 1.0


def built_beside_writes(model: str, index: models.Index, definition: str) -> migrations.SeparateDatabaseAndState:
    """`definition`: what follows CREATE INDEX CONCURRENTLY and the name. What a build that failed left is dropped first,
    so that the migration may be run again."""
    drop = f"DROP INDEX CONCURRENTLY IF EXISTS {index.name}"
    create = f"CREATE INDEX CONCURRENTLY {index.name} {definition}"
    return migrations.SeparateDatabaseAndState(
        database_operations=[migrations.RunSQL([drop, create], drop)],
        state_operations=[migrations.AddIndex(model, index)],
    )


def beside_all(cursor: CursorWrapper, statement: str) -> None:
    """It waits for whoever was there before it, however long, and nobody waits for it."""
    cursor.execute("SET lock_timeout = 0")
    cursor.execute(statement)
    cursor.execute("RESET lock_timeout")


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
