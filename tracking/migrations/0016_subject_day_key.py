"""The key of a subject's days holds their mini-program too: whose days are which is then read from the key alone.

Every reader asks for a mini-program's, and the row had to be visited for that. It is as large as before: the entries had room.
Built beside writes, for which it waits for whoever was there before, however long; the keys change places in a moment. Broken off, it
may be run again.
"""

from django.db import migrations

NEW = "subject_day_new_key"


def changed(key: str) -> list[str]:
    """`key`: the new one's columns."""
    return [
        "SET lock_timeout = 0",
        f"DROP INDEX CONCURRENTLY IF EXISTS {NEW}",
        f"CREATE UNIQUE INDEX CONCURRENTLY {NEW} ON subject_day {key}",
        "RESET lock_timeout",
        f"ALTER TABLE subject_day DROP CONSTRAINT subject_day_pkey, ADD CONSTRAINT subject_day_pkey PRIMARY KEY USING INDEX {NEW}",
    ]


class Migration(migrations.Migration):
    atomic = False
    dependencies = [("tracking", "0015_event_received")]

    operations = [
        migrations.RunSQL(changed("(subject_id, day) INCLUDE (program_id)"), changed("(subject_id, day)")),
    ]
