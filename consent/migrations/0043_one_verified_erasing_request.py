"""Of erasures and cancellations of a subject one is open, but for those of whom nobody has verified yet.

Built beside writes; the old constraint is the stricter one, so no row breaks the new. It does not reverse while a subject
has an open one of their own and another that is being verified.
"""

from django.db import migrations, models

OLD, NEW = "request_subject_one_erasing", "request_subject_one_verified_erasing"
ERASING = "kind IN ('erasure', 'cancellation') AND open"
MAKE_OLD = f"CREATE UNIQUE INDEX CONCURRENTLY {OLD} ON request_subject (subject_id) WHERE {ERASING}"
MAKE_NEW = f"CREATE UNIQUE INDEX CONCURRENTLY {NEW} ON request_subject (subject_id) WHERE {ERASING} AND scope = ''"
DROP = "DROP INDEX CONCURRENTLY IF EXISTS "


class Migration(migrations.Migration):
    atomic = False
    dependencies = [("consent", "0042_legal_hold_holds")]

    operations = [
        migrations.SeparateDatabaseAndState(
            database_operations=[
                migrations.RunSQL([DROP + NEW, MAKE_NEW], DROP + NEW),
                migrations.RunSQL(DROP + OLD, [DROP + OLD, MAKE_OLD]),
            ],
            state_operations=[
                migrations.RemoveConstraint("requestsubject", OLD),
                migrations.AddConstraint(
                    "requestsubject",
                    models.UniqueConstraint(
                        condition=models.Q(("kind__in", ["erasure", "cancellation"]), ("open", True), ("scope", "")),
                        fields=("subject",),
                        name=NEW,
                    ),
                ),
            ],
        ),
    ]
