"""Who withdrew in a range is found without all that was ever decided: every report tells how many did."""

from django.db import migrations, models

from consent.indexes import built_beside_writes


class Migration(migrations.Migration):
    atomic = False
    dependencies = [("consent", "0047_subject_set_aside")]

    operations = [
        built_beside_writes(
            "consentrecord",
            models.Index(
                fields=["program", "received_at", "subject"],
                name="consent_record_withdrawn",
                condition=models.Q(state="withdrawn"),
            ),
            "ON consent_record (program_id, received_at, subject_id) WHERE state = 'withdrawn'",
        ),
    ]
