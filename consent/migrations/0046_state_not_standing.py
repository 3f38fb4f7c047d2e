"""Whose consent does not stand is found without those whose does: reports leave them out of what they counted before."""

from django.db import migrations, models

from consent.indexes import built_beside_writes


class Migration(migrations.Migration):
    atomic = False
    dependencies = [("consent", "0045_disclosure_access")]

    operations = [
        built_beside_writes(
            "consentstate",
            models.Index(
                fields=["program", "purpose", "subject"],
                name="consent_state_not_standing",
                condition=~models.Q(state__in=["given", "renewed"]) | models.Q(guardian_pending=True),
            ),
            "ON consent_state (program_id, purpose_id, subject_id)"
            " WHERE state NOT IN ('given', 'renewed') OR guardian_pending",
        ),
    ]
