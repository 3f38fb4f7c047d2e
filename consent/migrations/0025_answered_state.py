"""A record keeps the state that its act was told, and takes its id before it is written. Nothing is rewritten: old records
have none. New rows keep the constraint at once; 0026 reads the old ones."""

from django.contrib.postgres.operations import AddConstraintNotValid
from django.db import migrations, models

from consent.programs.security import grant

STATES = [
    ("unknown", "unknown"),
    ("requested", "requested"),
    ("refused", "refused"),
    ("given", "given"),
    ("renewed", "renewed"),
    ("withdrawn", "withdrawn"),
    ("expired", "expired"),
    ("invalidated", "invalidated"),
]


class Migration(migrations.Migration):
    dependencies = [("consent", "0024_phone_constraint_holds")]

    operations = [
        migrations.AddField(
            "consentrecord", "answered", models.TextField(choices=STATES, null=True, verbose_name="answered state")
        ),
        AddConstraintNotValid(
            model_name="consentrecord",
            constraint=models.CheckConstraint(
                condition=models.Q(
                    ("answered__isnull", True), ("answered__in", [state for state, _ in STATES]), _connector="OR"
                ),
                name="consent_record_answered",
            ),
        ),
        grant("SEQUENCE consent_record_id_seq", "zq_app", "USAGE"),
    ]
