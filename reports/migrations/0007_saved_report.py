"""Questions that were saved under a name."""

import uuid

import django.db.models.deletion
import django.db.models.functions.datetime
from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("consent", "0047_subject_set_aside"),
        ("reports", "0006_rollup_day_tried"),
    ]

    operations = [
        migrations.CreateModel(
            name="SavedReport",
            fields=[
                ("id", models.UUIDField(default=uuid.uuid4, editable=False, primary_key=True, serialize=False)),
                ("name", models.TextField(verbose_name="name")),
                ("metric", models.TextField(verbose_name="report")),
                ("question", models.JSONField(verbose_name="question")),
                ("saved_by", models.TextField(verbose_name="saved by")),
                (
                    "saved_at",
                    models.DateTimeField(db_default=django.db.models.functions.datetime.Now(), verbose_name="saved at"),
                ),
                ("idempotency", models.BinaryField(null=True)),
                (
                    "program",
                    models.ForeignKey(
                        db_index=False,
                        on_delete=django.db.models.deletion.PROTECT,
                        to="consent.miniprogram",
                        verbose_name="mini-program",
                    ),
                ),
            ],
            options={
                "verbose_name": "saved report",
                "verbose_name_plural": "saved reports",
                "db_table": "saved_report",
                "default_permissions": (),
                "constraints": [
                    models.UniqueConstraint(fields=("program", "name"), name="saved_report_name"),
                    models.CheckConstraint(
                        condition=models.Q(("name__regex", "^.{1,100}$")), name="saved_report_name_length"
                    ),
                ],
            },
        ),
    ]
