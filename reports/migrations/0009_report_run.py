"""Questions that a worker answers."""

import uuid

import django.db.models.deletion
import django.db.models.functions.datetime
from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("consent", "0047_subject_set_aside"),
        ("reports", "0008_saved_report_access"),
    ]

    operations = [
        migrations.CreateModel(
            name="ReportRun",
            fields=[
                ("id", models.UUIDField(default=uuid.uuid4, editable=False, primary_key=True, serialize=False)),
                ("metric", models.TextField(verbose_name="report")),
                ("question", models.JSONField(verbose_name="question")),
                (
                    "state",
                    models.TextField(
                        choices=[
                            ("queued", "queued"),
                            ("running", "running"),
                            ("done", "done"),
                            ("failed", "failed"),
                            ("cancelled", "cancelled"),
                        ],
                        default="queued",
                        verbose_name="state",
                    ),
                ),
                (
                    "counting",
                    models.TextField(
                        blank=True,
                        choices=[
                            ("days", "counting days that have no totals yet"),
                            ("figures", "reading the figures"),
                            ("by_day", "reading the same by day, so that no day can be worked out of a week or month"),
                            ("gate", "withholding what rests on few people"),
                        ],
                        default="",
                    ),
                ),
                ("done", models.IntegerField(default=0)),
                ("parts", models.IntegerField(null=True)),
                ("asked_by", models.TextField(verbose_name="asked by")),
                (
                    "asked_at",
                    models.DateTimeField(db_default=django.db.models.functions.datetime.Now(), verbose_name="asked at"),
                ),
                ("started_at", models.DateTimeField(null=True, verbose_name="started at")),
                ("finished_at", models.DateTimeField(null=True, verbose_name="finished at")),
                ("expires_at", models.DateTimeField(verbose_name="expires at")),
                ("attempts", models.IntegerField(default=0)),
                ("not_before", models.DateTimeField(db_default=django.db.models.functions.datetime.Now())),
                ("lease_token", models.UUIDField(null=True)),
                ("lease_until", models.DateTimeField(null=True)),
                ("problem", models.JSONField(null=True)),
                ("answer", models.TextField(null=True)),
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
                "verbose_name": "background report",
                "verbose_name_plural": "background reports",
                "db_table": "report_run",
                "default_permissions": (),
                "indexes": [
                    models.Index(
                        condition=models.Q(("state__in", ("queued", "running"))),
                        fields=["asked_at"],
                        name="report_run_open",
                    ),
                    models.Index(fields=["program", "-asked_at", "-id"], name="report_run_list"),
                ],
                "constraints": [
                    models.CheckConstraint(
                        condition=models.Q(("state__in", ["queued", "running", "done", "failed", "cancelled"])),
                        name="report_run_state",
                    ),
                    models.CheckConstraint(
                        condition=models.Q(("counting__in", ["", "days", "figures", "by_day", "gate"])),
                        name="report_run_counting",
                    ),
                    models.CheckConstraint(
                        condition=models.Q(
                            models.Q(("answer__isnull", False), ("state", "done")),
                            models.Q(models.Q(("state", "done"), _negated=True), ("answer__isnull", True)),
                            _connector="OR",
                        ),
                        name="report_run_answer",
                    ),
                    models.CheckConstraint(
                        condition=models.Q(
                            models.Q(("finished_at__isnull", True), ("state__in", ("queued", "running"))),
                            models.Q(
                                models.Q(("state__in", ("queued", "running")), _negated=True),
                                ("finished_at__isnull", False),
                            ),
                            _connector="OR",
                        ),
                        name="report_run_finished",
                    ),
                ],
            },
        ),
    ]
