"""Indexes and foreign keys of large live tables, for migrations that are not atomic."""

import time

from django.db import OperationalError, migrations, models
from django.db.backends.base.schema import BaseDatabaseSchemaEditor
from django.db.backends.utils import CursorWrapper
from django.db.migrations.state import StateApps

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


def tied_within_program(table: str, column: str, target: str) -> migrations.RunPython:
    """What `column` names in `target` is of the row's own mini-program: a foreign key of one column looks past row-level security.

    May be run again where it failed, as it does where a row names another's: the key then holds for what is written from then on.
    """
    index, key = f"{target}_of_program", f"{table}_{column}_of_program"

    def tie(apps: StateApps, schema_editor: BaseDatabaseSchemaEditor) -> None:
        with schema_editor.connection.cursor() as cursor:
            cursor.execute("SELECT FROM pg_constraint WHERE conname = %s", [key])
            if cursor.fetchone() is None:
                beside_all(cursor, f"DROP INDEX CONCURRENTLY IF EXISTS {index}")
                beside_all(cursor, f"CREATE UNIQUE INDEX CONCURRENTLY {index} ON {target} (program_id, id)")
                in_a_moment(
                    cursor,
                    f"ALTER TABLE {table} ADD CONSTRAINT {key} FOREIGN KEY (program_id, {column})"
                    f" REFERENCES {target} (program_id, id) DEFERRABLE INITIALLY DEFERRED NOT VALID",
                )
            beside_all(cursor, f"ALTER TABLE {table} VALIDATE CONSTRAINT {key}")

    def untie(apps: StateApps, schema_editor: BaseDatabaseSchemaEditor) -> None:
        with schema_editor.connection.cursor() as cursor:
            in_a_moment(cursor, f"ALTER TABLE {table} DROP CONSTRAINT IF EXISTS {key}")
            beside_all(cursor, f"DROP INDEX CONCURRENTLY IF EXISTS {index}")

    return migrations.RunPython(tie, untie)


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
