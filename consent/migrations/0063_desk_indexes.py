"""What officers look at first is found without reading whole tables: what waits, what failed, what ends, and to whom
something was given about one request."""

from django.db import migrations, models

from consent.indexes import built_beside_writes


class Migration(migrations.Migration):
    atomic = False
    dependencies = [("consent", "0062_processing_access")]

    operations = [
        built_beside_writes(
            "disclosure",
            models.Index(fields=["program", "target"], name="disclosure_target"),
            "ON disclosure (program_id, target)",
        ),
        built_beside_writes(
            "subjectrequest",
            models.Index(
                fields=["program", "due_at"], name="subject_request_failed", condition=models.Q(state="failed")
            ),
            "ON subject_request (program_id, due_at) WHERE state = 'failed'",
        ),
        built_beside_writes(
            "package",
            models.Index(fields=["program", "expires_at"], name="package_expires"),
            "ON package (program_id, expires_at)",
        ),
        built_beside_writes(
            "webhookmessage",
            models.Index(fields=["program"], name="webhook_message_dead", condition=models.Q(dead_at__isnull=False)),
            "ON webhook_message (program_id) WHERE dead_at IS NOT NULL",
        ),
        built_beside_writes(
            "purposeerasure",
            models.Index(
                fields=["program", "owed_from"], name="purpose_erasure_owed", condition=models.Q(done_at__isnull=True)
            ),
            "ON purpose_erasure (program_id, owed_from) WHERE done_at IS NULL",
        ),
        built_beside_writes(
            "datakey",
            models.Index(fields=["program", "key_version"], name="data_key_version"),
            "ON data_key (program_id, key_version)",
        ),
    ]
