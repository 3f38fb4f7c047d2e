"""What each version of an event type said. A new table, so nothing is rewritten."""

import django.db.models.deletion
from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("consent", "0004_grants"),
        ("tracking", "0006_ingest_count_access"),
    ]

    operations = [
        migrations.CreateModel(
            name="EventTypeVersion",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("version", models.IntegerField()),
                ("declaration", models.JSONField()),
                ("actor", models.TextField()),
                ("at", models.DateTimeField()),
                (
                    "event_type",
                    models.ForeignKey(
                        db_index=False,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="versions",
                        to="tracking.eventtype",
                    ),
                ),
                (
                    "program",
                    models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, to="consent.miniprogram"),
                ),
            ],
            options={
                "verbose_name": "version of an event type",
                "verbose_name_plural": "versions of event types",
                "db_table": "event_type_version",
                "constraints": [
                    models.UniqueConstraint(fields=("event_type", "version"), name="event_type_version_once"),
                    models.CheckConstraint(condition=models.Q(("version__gt", 0)), name="event_type_version_number"),
                ],
            },
        ),
    ]
