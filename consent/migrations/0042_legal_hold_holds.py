"""Old runs keep the new constraints too, and held ones are found: built beside other calls."""

from django.contrib.postgres.operations import ValidateConstraint
from django.db import migrations, models

from consent.indexes import built_beside_writes


class Migration(migrations.Migration):
    atomic = False
    dependencies = [("consent", "0041_legal_hold")]

    operations = [
        built_beside_writes(
            "holderrun",
            models.Index(condition=models.Q(("status", "held")), fields=["program"], name="holder_run_held_ones"),
            "ON holder_run (program_id) WHERE status = 'held'",
        ),
        ValidateConstraint("holderrun", "holder_run_status"),
        ValidateConstraint("holderrun", "holder_run_held"),
    ]
