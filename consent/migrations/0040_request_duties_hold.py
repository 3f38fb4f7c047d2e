"""Old requests keep the new constraints too, and refusals nobody was told of are found: built beside other calls."""

from django.contrib.postgres.operations import ValidateConstraint
from django.db import migrations, models

from consent.indexes import built_beside_writes


class Migration(migrations.Migration):
    atomic = False
    dependencies = [("consent", "0039_request_duties_access")]

    operations = [
        built_beside_writes(
            "subjectrequest",
            models.Index(
                condition=models.Q(("rejection_delivered_at__isnull", True), ("state", "rejected")),
                fields=["program", "closed_at"],
                name="subject_request_undelivered",
            ),
            "ON subject_request (program_id, closed_at) WHERE rejection_delivered_at IS NULL AND state = 'rejected'",
        ),
        ValidateConstraint("subjectrequest", "subject_request_delivered"),
        ValidateConstraint("subjectrequest", "subject_request_two_officers"),
    ]
