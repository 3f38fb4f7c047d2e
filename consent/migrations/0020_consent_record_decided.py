"""The statistics of consents read the records of a range of days, not all there are."""

from django.contrib.postgres.operations import AddIndexConcurrently
from django.db import migrations, models


class Migration(migrations.Migration):
    atomic = False
    dependencies = [("consent", "0019_subject_under_14")]

    operations = [
        AddIndexConcurrently(
            "consentrecord",
            models.Index(fields=["program", "corrected_at"], name="consent_record_decided"),
        ),
    ]
