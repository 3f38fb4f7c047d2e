"""Rollups of closed days: bitmaps of subjects and numbers."""

import django.db.models.deletion
from django.db import migrations, models


class Migration(migrations.Migration):
    initial = True

    dependencies = [
        ("consent", "0045_disclosure_access"),
    ]

    operations = [
        migrations.CreateModel(
            name="RollupDay",
            fields=[
                (
                    "pk",
                    models.CompositePrimaryKey(
                        "program_id", "day", blank=True, editable=False, primary_key=True, serialize=False
                    ),
                ),
                ("day", models.DateField()),
                ("zone", models.TextField()),
                ("changes", models.BigIntegerField(default=-1)),
                ("built_at", models.DateTimeField(null=True)),
                (
                    "program",
                    models.ForeignKey(
                        db_index=False, on_delete=django.db.models.deletion.PROTECT, to="consent.miniprogram"
                    ),
                ),
            ],
            options={
                "verbose_name": "day of the rollups",
                "verbose_name_plural": "days of the rollups",
                "db_table": "rollup_day",
            },
        ),
        migrations.CreateModel(
            name="Rollup",
            fields=[
                (
                    "pk",
                    models.CompositePrimaryKey(
                        "program_id",
                        "day",
                        "kind",
                        "key",
                        "shard",
                        blank=True,
                        editable=False,
                        primary_key=True,
                        serialize=False,
                    ),
                ),
                ("day", models.DateField()),
                (
                    "kind",
                    models.TextField(
                        choices=[
                            ("subject", "events of any type, and who has one"),
                            ("event", "events of a type"),
                            ("session", "sessions begun"),
                        ],
                        db_collation="C",
                    ),
                ),
                ("key", models.BigIntegerField()),
                ("shard", models.BigIntegerField()),
                ("number", models.BigIntegerField()),
                ("subjects", models.BinaryField()),
                (
                    "program",
                    models.ForeignKey(
                        db_index=False, on_delete=django.db.models.deletion.PROTECT, to="consent.miniprogram"
                    ),
                ),
            ],
            options={
                "verbose_name": "rollup",
                "verbose_name_plural": "rollups",
                "db_table": "rollup",
                "constraints": [
                    models.CheckConstraint(
                        condition=models.Q(("kind__in", ["subject", "event", "session"])), name="rollup_kind"
                    ),
                    models.CheckConstraint(condition=models.Q(("number__gt", 0)), name="rollup_number"),
                ],
            },
        ),
    ]
