"""The statistics of consents read the records of a range of days, not all there are."""

from django.db import migrations, models

from consent.indexes import built_beside_writes


class Migration(migrations.Migration):
    atomic = False
    dependencies = [("consent", "0019_subject_under_14")]

    operations = [
        built_beside_writes(
            "consentrecord",
            models.Index(fields=["program", "corrected_at"], name="consent_record_decided"),
            "ON consent_record (program_id, corrected_at)",
        ),
    ]
