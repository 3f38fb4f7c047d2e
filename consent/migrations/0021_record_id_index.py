"""Records are found by their ids, for receipts."""

from django.db import migrations, models

from consent.indexes import built_beside_writes


class Migration(migrations.Migration):
    atomic = False
    dependencies = [("consent", "0020_consent_record_decided")]

    operations = [
        built_beside_writes(
            "consentrecord",
            models.Index(fields=["record_id"], name="consent_record_record_id"),
            "ON consent_record (record_id)",
        ),
    ]
