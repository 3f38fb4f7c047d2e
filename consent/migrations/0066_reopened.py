"""A request that is opened again is told of again: reminders are of one of the times it was open.

Columns with a constant default rewrite no row, and the new index is built beside writes; it may be run again after it failed.
Reversed, each stage stays told once.
"""

from django.db import migrations, models

OLD, NEW = "request_reminder_once", "request_reminder_once_each"
_IN_A_MOMENT, _AS_BEFORE = "SET lock_timeout = '5s'", "RESET lock_timeout"
_INDEX = "CREATE UNIQUE INDEX CONCURRENTLY {} ON request_reminder ({})"
_DROP = "DROP INDEX CONCURRENTLY IF EXISTS {}"
_SWAP = "ALTER TABLE request_reminder DROP CONSTRAINT {0}, ADD CONSTRAINT {1} UNIQUE USING INDEX {1}"
_TOLD_AGAIN = """
    DELETE FROM request_reminder later USING request_reminder first
    WHERE first.request_id = later.request_id AND first.stage = later.stage AND first.due_on = later.due_on AND first.id < later.id
"""


def column(model: str, table: str, field: models.SmallIntegerField) -> migrations.SeparateDatabaseAndState:
    return migrations.SeparateDatabaseAndState(
        database_operations=[
            migrations.RunSQL(
                [
                    _IN_A_MOMENT,
                    f"ALTER TABLE {table} ADD COLUMN IF NOT EXISTS reopened smallint NOT NULL DEFAULT 0",
                    _AS_BEFORE,
                ],
                [_IN_A_MOMENT, f"ALTER TABLE {table} DROP COLUMN IF EXISTS reopened", _AS_BEFORE],
            )
        ],
        state_operations=[migrations.AddField(model, "reopened", field)],
    )


class Migration(migrations.Migration):
    atomic = False
    dependencies = [("consent", "0065_password_due")]

    operations = [
        column(
            "subjectrequest",
            "subject_request",
            models.SmallIntegerField(db_default=0, default=0, verbose_name="opened again"),
        ),
        column("requestreminder", "request_reminder", models.SmallIntegerField(db_default=0, default=0)),
        migrations.SeparateDatabaseAndState(
            database_operations=[
                migrations.RunSQL(
                    [_DROP.format(NEW), _INDEX.format(NEW, "request_id, stage, due_on, reopened")],
                    migrations.RunSQL.noop,
                ),
                migrations.RunSQL(
                    [_IN_A_MOMENT, _SWAP.format(OLD, NEW), _AS_BEFORE],
                    [_IN_A_MOMENT, _SWAP.format(NEW, OLD), _AS_BEFORE],
                ),
                migrations.RunSQL(
                    migrations.RunSQL.noop,
                    [_TOLD_AGAIN, _DROP.format(OLD), _INDEX.format(OLD, "request_id, stage, due_on")],
                ),
            ],
            state_operations=[
                migrations.RemoveConstraint("requestreminder", OLD),
                migrations.AddConstraint(
                    "requestreminder",
                    models.UniqueConstraint(fields=["request", "stage", "due_on", "reopened"], name=NEW),
                ),
            ],
        ),
    ]
