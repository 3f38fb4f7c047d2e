"""That purposes were assessed. Purposes that are active stay so."""

import django.contrib.postgres.fields
import django.db.models.deletion
import django.db.models.functions.datetime
from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("consent", "0014_keys_by_function_only")]

    operations = [
        migrations.CreateModel(
            name="ImpactAssessment",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("reference", models.TextField(verbose_name="reference")),
                ("assessed_on", models.DateField(verbose_name="assessed on")),
                (
                    "conclusion",
                    models.TextField(
                        choices=[
                            ("acceptable", "acceptable"),
                            ("with_measures", "acceptable with the measures it names"),
                            ("not_acceptable", "not acceptable"),
                        ],
                        verbose_name="conclusion",
                    ),
                ),
                (
                    "covers",
                    django.contrib.postgres.fields.ArrayField(
                        base_field=models.TextField(
                            choices=[
                                ("sensitive", "sensitive information"),
                                ("sharing", "sharing or disclosure"),
                                ("automated_decision", "automated decisions"),
                                ("cross_border", "provision abroad"),
                            ]
                        ),
                        size=None,
                        verbose_name="what it looked at",
                    ),
                ),
                ("document_sha256", models.TextField(blank=True, null=True, verbose_name="sha256 of the document")),
                ("recorded_by", models.TextField(verbose_name="recorded by")),
                (
                    "created_at",
                    models.DateTimeField(
                        db_default=django.db.models.functions.datetime.Now(), verbose_name="created at"
                    ),
                ),
                (
                    "program",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT,
                        to="consent.miniprogram",
                        verbose_name="mini-program",
                    ),
                ),
                (
                    "purpose",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="assessments",
                        to="consent.purpose",
                        verbose_name="purpose",
                    ),
                ),
            ],
            options={
                "verbose_name": "impact assessment",
                "verbose_name_plural": "impact assessments",
                "db_table": "impact_assessment",
                "constraints": [
                    models.UniqueConstraint(fields=("purpose", "reference"), name="impact_assessment_once"),
                    models.CheckConstraint(
                        condition=models.Q(("conclusion__in", ["acceptable", "with_measures", "not_acceptable"])),
                        name="impact_assessment_conclusion",
                    ),
                    models.CheckConstraint(
                        condition=models.Q(
                            ("covers__contained_by", ["sensitive", "sharing", "automated_decision", "cross_border"])
                        ),
                        name="impact_assessment_covers",
                    ),
                    models.CheckConstraint(
                        condition=models.Q(("document_sha256__regex", "^[0-9a-f]{64}$")),
                        name="impact_assessment_sha256",
                    ),
                ],
            },
        ),
    ]
