"""Which portabilities name a handler to pass the data on to, so that those not passed on yet are found.

The column has a constant default and rewrites no row; who is named stays sealed. What was filed before is not told apart.
"""

from django.db import migrations, models

from consent.indexes import built_beside_writes

_IN_A_MOMENT, _AS_BEFORE = "SET lock_timeout = '5s'", "RESET lock_timeout"
_COLUMN = "ALTER TABLE subject_request ADD COLUMN IF NOT EXISTS handler_named boolean NOT NULL DEFAULT false"
_NO_COLUMN = "ALTER TABLE subject_request DROP COLUMN IF EXISTS handler_named"


class Migration(migrations.Migration):
    atomic = False
    dependencies = [("consent", "0083_leaf_waiting_since")]

    operations = [
        migrations.SeparateDatabaseAndState(
            database_operations=[
                migrations.RunSQL([_IN_A_MOMENT, _COLUMN, _AS_BEFORE], [_IN_A_MOMENT, _NO_COLUMN, _AS_BEFORE])
            ],
            state_operations=[
                migrations.AddField(
                    "subjectrequest",
                    "handler_named",
                    models.BooleanField(db_default=False, default=False, verbose_name="names a handler"),
                )
            ],
        ),
        built_beside_writes(
            "subjectrequest",
            models.Index(
                fields=["program", "closed_at"],
                name="subject_request_to_handler",
                condition=models.Q(("handler_named", True), ("state", "completed")),
            ),
            "ON subject_request (program_id, closed_at) WHERE handler_named AND state = 'completed'",
        ),
    ]
