"""Who is restricted or about to be erased is found without all others, for the same."""

from django.db import migrations, models

from consent.indexes import built_beside_writes


class Migration(migrations.Migration):
    atomic = False
    dependencies = [("consent", "0046_state_not_standing")]

    operations = [
        built_beside_writes(
            "subject",
            models.Index(
                fields=["program", "id"],
                name="subject_set_aside",
                condition=models.Q(restricted=True) | models.Q(erasure_pending=True),
            ),
            "ON subject (program_id, subject_id) WHERE restricted OR erasure_pending",
        ),
    ]
