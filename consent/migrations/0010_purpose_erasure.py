"""What has to be erased because a consent ended or agreed to a shorter retention; since when a purpose has ended."""

import django.db.models.deletion
from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("consent", "0009_pending_records")]

    operations = [
        migrations.AddField(
            "purpose",
            "ended_at",
            models.DateTimeField(editable=False, null=True, verbose_name="ended at"),
        ),
        migrations.CreateModel(
            name="PurposeErasure",
            fields=[
                (
                    "pk",
                    models.CompositePrimaryKey(
                        "subject_id",
                        "purpose_id",
                        "version",
                        blank=True,
                        editable=False,
                        primary_key=True,
                        serialize=False,
                    ),
                ),
                ("version", models.IntegerField()),
                ("kept_days", models.IntegerField(null=True)),
                ("asked_at", models.DateTimeField()),
                ("owed_from", models.DateTimeField()),
                ("not_before", models.DateTimeField()),
                ("attempts", models.IntegerField(default=0)),
                ("affected", models.BigIntegerField(default=0)),
                ("done_at", models.DateTimeField(null=True)),
                (
                    "program",
                    models.ForeignKey(
                        db_index=False, on_delete=django.db.models.deletion.PROTECT, to="consent.miniprogram"
                    ),
                ),
                (
                    "purpose",
                    models.ForeignKey(
                        db_index=False, on_delete=django.db.models.deletion.PROTECT, to="consent.purpose"
                    ),
                ),
                (
                    "subject",
                    models.ForeignKey(
                        db_column="subject_id",
                        db_index=False,
                        on_delete=django.db.models.deletion.DO_NOTHING,
                        to="consent.subject",
                    ),
                ),
            ],
            options={
                "db_table": "purpose_erasure",
                "indexes": [
                    models.Index(
                        condition=models.Q(("done_at__isnull", True)),
                        fields=["not_before"],
                        name="purpose_erasure_open",
                    )
                ],
            },
        ),
    ]
