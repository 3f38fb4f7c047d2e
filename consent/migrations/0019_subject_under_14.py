"""Whoever turns 14 is found among those under 14, not among everybody."""

from django.db import migrations, models

from consent.indexes import built_beside_writes


class Migration(migrations.Migration):
    atomic = False
    dependencies = [("consent", "0018_notice_draft_access")]

    operations = [
        built_beside_writes(
            "subject",
            models.Index(
                condition=models.Q(("under_14", True)), fields=["program", "turns_14_on"], name="subject_under_14"
            ),
            "ON subject (program_id, turns_14_on) WHERE under_14",
        ),
    ]
