"""Events are found by when they came without reading their days from end to end: a breach may be a window of time.

A block range index, of some kilobytes a day: events lie in the order in which they came, so that the first and the last
time of 128 pages tell whether any of them is wanted. `autosummarize`: otherwise those of a day's last sixth are told once
it is vacuumed again only, which may be never.

Each day gets its own beside writes, one day after the other; a day that is made meanwhile gets it from the table. A
migration that was broken off may be run again, and goes on where it was. What batches have to wait behind waits for half
a second itself, and then lets them pass.
"""

from django.contrib.postgres.indexes import BrinIndex
from django.db import migrations
from django.db.backends.base.schema import BaseDatabaseSchemaEditor
from django.db.migrations.state import StateApps

from consent.indexes import beside_all, in_a_moment

NAME = "event_received_at"
DEFINITION = "USING brin (received_at) WITH (autosummarize = on)"

# The first day without it; the name that LIKE gives it on new days; whether one of that name is whole, NULL without one.
NEXT = f"""
    SELECT part.relname, named.name, built.indisvalid
    FROM pg_inherits days JOIN pg_class part ON part.oid = days.inhrelid
    CROSS JOIN LATERAL (SELECT part.relname || '_received_at_idx' AS name) named
    LEFT JOIN pg_index built ON built.indexrelid = to_regclass('public.' || named.name)
    WHERE days.inhparent = 'public.event'::regclass AND NOT days.inhdetachpending AND NOT EXISTS (
        SELECT FROM pg_inherits attached JOIN pg_index own ON own.indexrelid = attached.inhrelid
        WHERE attached.inhparent = 'public.{NAME}'::regclass AND own.indrelid = part.oid
    )
    ORDER BY 1 LIMIT 1
"""


def build(apps: StateApps, schema_editor: BaseDatabaseSchemaEditor) -> None:
    with schema_editor.connection.cursor() as cursor:
        in_a_moment(cursor, f"CREATE INDEX IF NOT EXISTS {NAME} ON ONLY event {DEFINITION}")
        cursor.execute(NEXT)
        while day := cursor.fetchone():
            part, index, whole = day
            if whole is False:
                beside_all(cursor, f"DROP INDEX CONCURRENTLY {index}")
            if not whole:
                beside_all(cursor, f"CREATE INDEX CONCURRENTLY {index} ON {part} {DEFINITION}")
            in_a_moment(cursor, f"ALTER INDEX {NAME} ATTACH PARTITION {index}")
            cursor.execute(NEXT)


def drop(apps: StateApps, schema_editor: BaseDatabaseSchemaEditor) -> None:
    """Takes the table and all its days for a moment."""
    with schema_editor.connection.cursor() as cursor:
        in_a_moment(cursor, f"DROP INDEX IF EXISTS {NAME}")


class Migration(migrations.Migration):
    atomic = False
    dependencies = [("tracking", "0014_day_without_foreign_key")]

    operations = [
        migrations.SeparateDatabaseAndState(
            database_operations=[migrations.RunPython(build, drop)],
            state_operations=[
                migrations.AddIndex("event", BrinIndex(fields=["received_at"], name=NAME, autosummarize=True)),
            ],
        ),
    ]
