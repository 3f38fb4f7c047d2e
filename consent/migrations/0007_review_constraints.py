"""A rejected request has a reason, and an extended one too. New rows at once; the next migration reads the old ones."""

from django.contrib.postgres.operations import AddConstraintNotValid
from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("consent", "0006_review_access")]

    operations = [
        AddConstraintNotValid(
            model_name="subjectrequest",
            constraint=models.CheckConstraint(
                condition=models.Q(
                    models.Q(
                        (
                            "rejection__in",
                            [
                                "identity_not_verified",
                                "not_data_subject",
                                "retention_required",
                                "technically_infeasible",
                            ],
                        ),
                        ("rejection__isnull", False),
                        ("state", "rejected"),
                    ),
                    models.Q(models.Q(("state", "rejected"), _negated=True), ("rejection__isnull", True)),
                    _connector="OR",
                ),
                name="subject_request_rejection",
            ),
        ),
        AddConstraintNotValid(
            model_name="subjectrequest",
            constraint=models.CheckConstraint(
                condition=models.Q(
                    models.Q(
                        ("extended_from__isnull", False),
                        ("extended_from__lte", models.F("due_at")),
                        ("extension__in", ["complex", "numerous", "verification", "others"]),
                        ("extension__isnull", False),
                    ),
                    models.Q(("extended_from__isnull", True), ("extension__isnull", True)),
                    _connector="OR",
                ),
                name="subject_request_extension",
            ),
        ),
    ]
