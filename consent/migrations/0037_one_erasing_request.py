"""Of erasures and cancellations of a subject one is open. Built beside writes; no row of the release before breaks it."""

from django.db import migrations, models

DROP = "DROP INDEX CONCURRENTLY IF EXISTS request_subject_one_erasing"
CREATE = (
    "CREATE UNIQUE INDEX CONCURRENTLY request_subject_one_erasing ON request_subject (subject_id)"
    " WHERE kind IN ('erasure', 'cancellation') AND open"
)


class Migration(migrations.Migration):
    atomic = False
    dependencies = [("consent", "0036_rights_constraints_hold")]

    operations = [
        migrations.SeparateDatabaseAndState(
            database_operations=[migrations.RunSQL([DROP, CREATE], DROP)],
            state_operations=[
                migrations.AddConstraint(
                    "requestsubject",
                    models.UniqueConstraint(
                        condition=models.Q(("kind__in", ["erasure", "cancellation"]), ("open", True)),
                        fields=("subject",),
                        name="request_subject_one_erasing",
                    ),
                )
            ],
        ),
    ]
