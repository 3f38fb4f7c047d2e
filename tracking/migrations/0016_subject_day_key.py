"""The key of a subject's days holds their mini-program too: whose days are which is then read from the key alone.

Every reader asks for a mini-program's, and the row had to be visited for that. It is as large as before: the entries had room.
Built beside writes, for which it waits for whoever was there before, however long; the keys change places in a moment, for which
batches wait no longer than half a second at a time. Broken off, it may be run again, and builds no key anew that is whole.
"""

from collections.abc import Callable

from django.db import migrations
from django.db.backends.base.schema import BaseDatabaseSchemaEditor
from django.db.migrations.state import StateApps

from consent.indexes import beside_all, in_a_moment

NAME = "subject_day_new_key"
ONE_MORE, ONE = "(subject_id, day) INCLUDE (program_id)", "(subject_id, day)"
WHOLE = """
    SELECT indisvalid AND indnkeyatts = 2 AND indnatts = %s FROM pg_index WHERE indexrelid = to_regclass('public.{name}')
"""
CHANGED = """
    ALTER TABLE subject_day DROP CONSTRAINT subject_day_pkey, ADD CONSTRAINT subject_day_pkey PRIMARY KEY USING INDEX {name}
"""


def keyed_by(key: str, columns: int) -> Callable[[StateApps, BaseDatabaseSchemaEditor], None]:
    """`columns`: of the key and beside it."""

    def change(apps: StateApps, schema_editor: BaseDatabaseSchemaEditor) -> None:
        with schema_editor.connection.cursor() as cursor:
            cursor.execute(WHOLE.format(name="subject_day_pkey"), [columns])
            if cursor.fetchone() == (True,):
                return
            cursor.execute(WHOLE.format(name=NAME), [columns])
            whole = cursor.fetchone()
            if whole == (False,):
                beside_all(cursor, f"DROP INDEX CONCURRENTLY {NAME}")
            if whole != (True,):
                beside_all(cursor, f"CREATE UNIQUE INDEX CONCURRENTLY {NAME} ON subject_day {key}")
            in_a_moment(cursor, CHANGED.format(name=NAME))

    return change


class Migration(migrations.Migration):
    atomic = False
    dependencies = [("tracking", "0015_event_received")]

    operations = [
        migrations.RunPython(keyed_by(ONE_MORE, 3), keyed_by(ONE, 2)),
    ]
