"""What an erasure held and when it could no longer be taken back; what a portability rests on, and a reason to reject one.

Columns may be empty, so nothing is rewritten; constraints hold for new rows at once, the next migration reads the old
ones. Going back, a rejection for the new reason becomes the nearest one that the release before knows.
"""

import django.contrib.postgres.fields
from django.contrib.postgres.operations import AddConstraintNotValid
from django.db import migrations, models

REASONS = [
    ("identity_not_verified", "identity not verified"),
    ("not_data_subject", "not the data subject, and without authority to act for them"),
    ("retention_required", "a law requires keeping the data"),
    ("technically_infeasible", "erasure is technically hard to realise"),
    ("conditions_not_met", "the conditions of a transfer are not met"),
]
CONDITIONS = [
    ("identity_verified", "the identity of who asks is verified"),
    ("consent_basis", "the data were collected on consent"),
    ("technically_feasible", "the transfer is technically feasible"),
    ("no_harm_to_others", "the transfer harms nobody else"),
]


class Migration(migrations.Migration):
    dependencies = [("consent", "0029_phone_searches_index")]

    operations = [
        migrations.AddField("holderrun", "held_before", models.BigIntegerField(null=True, verbose_name="rows before")),
        migrations.AddField("holderrun", "held_after", models.BigIntegerField(null=True, verbose_name="rows after")),
        migrations.AddField(
            "subjectrequest",
            "point_of_no_return_at",
            models.DateTimeField(null=True, verbose_name="point of no return"),
        ),
        migrations.AddField(
            "subjectrequest",
            "unmet",
            django.contrib.postgres.fields.ArrayField(
                base_field=models.TextField(choices=CONDITIONS),
                null=True,
                size=None,
                verbose_name="conditions that are not met",
            ),
        ),
        migrations.RemoveConstraint("subjectrequest", "subject_request_rejection"),
        migrations.RunSQL(
            migrations.RunSQL.noop,
            "UPDATE subject_request SET rejection = 'technically_infeasible' WHERE rejection = 'conditions_not_met'",
        ),
        migrations.AlterField(
            "subjectrequest",
            "rejection",
            models.TextField(choices=REASONS, null=True, verbose_name="reason of the rejection"),
        ),
        AddConstraintNotValid(
            model_name="subjectrequest",
            constraint=models.CheckConstraint(
                condition=models.Q(
                    models.Q(
                        ("rejection__in", [code for code, _ in REASONS]),
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
                        ("kind", "portability"),
                        ("unmet__isnull", False),
                        ("unmet__contained_by", [code for code, _ in CONDITIONS]),
                    ),
                    models.Q(models.Q(("kind", "portability"), _negated=True), ("unmet__isnull", True)),
                    _connector="OR",
                ),
                name="subject_request_unmet",
            ),
        ),
    ]
