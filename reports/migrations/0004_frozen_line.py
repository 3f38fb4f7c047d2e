"""Figures that were told, and stand."""

import django.db.models.deletion
from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("consent", "0045_disclosure_access"),
        ("reports", "0003_report"),
    ]

    operations = [
        migrations.CreateModel(
            name="FrozenLine",
            fields=[
                (
                    "pk",
                    models.CompositePrimaryKey(
                        "program_id", "key", blank=True, editable=False, primary_key=True, serialize=False
                    ),
                ),
                ("key", models.BinaryField()),
                ("told", models.TextField()),
                ("revision", models.IntegerField()),
                ("ends", models.DateTimeField()),
                (
                    "program",
                    models.ForeignKey(
                        db_index=False, on_delete=django.db.models.deletion.PROTECT, to="consent.miniprogram"
                    ),
                ),
            ],
            options={
                "verbose_name": "frozen line",
                "verbose_name_plural": "frozen lines",
                "db_table": "frozen_line",
                "indexes": [models.Index(fields=["program", "ends"], name="frozen_line_ends")],
                "constraints": [
                    models.CheckConstraint(condition=models.Q(("revision__gt", 0)), name="frozen_line_revision")
                ],
            },
        ),
    ]
