"""Events of closed days, packed, a row a subject and day; and which days have them: none of those built so far."""

import django.db.models.deletion
from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("reports", "0010_report_run_access")]

    operations = [
        migrations.CreateModel(
            name="RollupEvents",
            fields=[
                (
                    "pk",
                    models.CompositePrimaryKey(
                        "program_id", "day", "subject_id", blank=True, editable=False, primary_key=True, serialize=False
                    ),
                ),
                ("day", models.DateField()),
                ("subject_id", models.BigIntegerField()),
                ("events", models.BinaryField()),
                ("ids", models.BinaryField(null=True)),
                ("numbers", models.BinaryField(null=True)),
                ("elements", models.BinaryField(null=True)),
                (
                    "program",
                    models.ForeignKey(
                        db_constraint=False,
                        db_index=False,
                        on_delete=django.db.models.deletion.PROTECT,
                        to="consent.miniprogram",
                    ),
                ),
            ],
            options={
                "verbose_name": "packed events of a day",
                "verbose_name_plural": "packed events of days",
                "db_table": "rollup_events",
            },
        ),
        migrations.AddField("rollupday", "layout", models.SmallIntegerField(default=0, db_default=0)),
    ]
