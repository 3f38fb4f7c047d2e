"""Which closed days got late events: numbers of batches, and nobody's."""

import django.db.models.deletion
from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("consent", "0045_disclosure_access"),
        ("tracking", "0011_event_retention"),
    ]

    operations = [
        migrations.CreateModel(
            name="DayChange",
            fields=[
                (
                    "pk",
                    models.CompositePrimaryKey(
                        "program_id", "day", "slot", blank=True, editable=False, primary_key=True, serialize=False
                    ),
                ),
                ("day", models.DateField()),
                ("slot", models.SmallIntegerField()),
                ("changes", models.BigIntegerField()),
                (
                    "program",
                    models.ForeignKey(
                        db_index=False, on_delete=django.db.models.deletion.PROTECT, to="consent.miniprogram"
                    ),
                ),
            ],
            options={
                "verbose_name": "change of a closed day",
                "verbose_name_plural": "changes of closed days",
                "db_table": "day_change",
            },
        ),
    ]
