"""Whoever turns 14 is found among those under 14, not among everybody."""

from django.contrib.postgres.operations import AddIndexConcurrently
from django.db import migrations, models


class Migration(migrations.Migration):
    atomic = False
    dependencies = [("consent", "0018_notice_draft_access")]

    operations = [
        AddIndexConcurrently(
            "subject",
            models.Index(
                condition=models.Q(("under_14", True)), fields=["program", "turns_14_on"], name="subject_under_14"
            ),
        ),
    ]
