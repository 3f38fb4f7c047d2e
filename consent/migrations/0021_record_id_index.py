"""Records are found by their ids, for receipts. Built beside writes; what a build that failed left is dropped first."""

from django.db import migrations, models

NAME = "consent_record_record_id"
DROP = f"DROP INDEX CONCURRENTLY IF EXISTS {NAME}"


class Migration(migrations.Migration):
    atomic = False
    dependencies = [("consent", "0020_consent_record_decided")]

    operations = [
        migrations.SeparateDatabaseAndState(
            database_operations=[
                migrations.RunSQL([DROP, f"CREATE INDEX CONCURRENTLY {NAME} ON consent_record (record_id)"], DROP),
            ],
            state_operations=[
                migrations.AddIndex("consentrecord", models.Index(fields=["record_id"], name=NAME)),
            ],
        ),
    ]
