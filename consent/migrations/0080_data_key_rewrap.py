"""Data keys that another key wraps are found in the order of their subjects, wherever a re-wrapping begins again."""

from django.db import migrations, models

from consent.indexes import built_beside_writes


class Migration(migrations.Migration):
    atomic = False
    dependencies = [("consent", "0079_program_suite")]

    operations = [
        built_beside_writes(
            "datakey",
            models.Index(fields=["program", "key_version", "subject"], name="data_key_rewrap"),
            "ON data_key (program_id, key_version, subject_id)",
        ),
        migrations.SeparateDatabaseAndState(
            database_operations=[
                migrations.RunSQL(
                    "DROP INDEX CONCURRENTLY IF EXISTS data_key_version",
                    "CREATE INDEX CONCURRENTLY IF NOT EXISTS data_key_version ON data_key (program_id, key_version)",
                )
            ],
            state_operations=[migrations.RemoveIndex("datakey", "data_key_version")],
        ),
    ]
