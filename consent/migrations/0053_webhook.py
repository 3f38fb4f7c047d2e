"""Webhooks: endpoints, and the messages for them."""

import uuid

import django.contrib.postgres.fields
import django.db.models.deletion
from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("consent", "0052_portal_session_access"),
    ]

    operations = [
        migrations.CreateModel(
            name="WebhookEndpoint",
            fields=[
                ("id", models.UUIDField(default=uuid.uuid4, primary_key=True, serialize=False)),
                ("url", models.TextField(verbose_name="address")),
                (
                    "events",
                    django.contrib.postgres.fields.ArrayField(
                        base_field=models.TextField(
                            choices=[
                                ("consent.changed", "a consent changed"),
                                ("request.updated", "a request changed its state or deadline"),
                                ("subject.erased", "a person is erased"),
                                ("subject.rectified", "a person's data were put right"),
                                ("subject.restricted", "a person's data are restricted, or no longer"),
                            ]
                        ),
                        size=None,
                        verbose_name="events",
                    ),
                ),
                ("active", models.BooleanField(default=True, verbose_name="active")),
                ("acknowledges", models.BooleanField(default=False, verbose_name="holds personal data")),
                ("sealed", models.BinaryField()),
                ("previous", models.BinaryField(null=True)),
                ("previous_until", models.DateTimeField(null=True, verbose_name="secret before valid until")),
                ("not_before", models.DateTimeField(null=True)),
                ("created_at", models.DateTimeField(verbose_name="created at")),
                (
                    "program",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT,
                        to="consent.miniprogram",
                        verbose_name="mini-program",
                    ),
                ),
            ],
            options={
                "verbose_name": "webhook endpoint",
                "verbose_name_plural": "webhook endpoints",
                "db_table": "webhook_endpoint",
            },
        ),
        migrations.CreateModel(
            name="WebhookMessage",
            fields=[
                ("id", models.UUIDField(default=uuid.uuid4, primary_key=True, serialize=False)),
                (
                    "event",
                    models.TextField(
                        choices=[
                            ("consent.changed", "a consent changed"),
                            ("request.updated", "a request changed its state or deadline"),
                            ("subject.erased", "a person is erased"),
                            ("subject.rectified", "a person's data were put right"),
                            ("subject.restricted", "a person's data are restricted, or no longer"),
                        ],
                        verbose_name="event",
                    ),
                ),
                ("data", models.JSONField()),
                ("created_at", models.DateTimeField(verbose_name="created at")),
                ("attempts", models.IntegerField(default=0, verbose_name="attempts")),
                ("next_attempt_at", models.DateTimeField(verbose_name="next attempt")),
                ("lease_until", models.DateTimeField(null=True)),
                ("lease_token", models.UUIDField(null=True)),
                ("delivered_at", models.DateTimeField(null=True, verbose_name="delivered at")),
                ("dead_at", models.DateTimeField(null=True, verbose_name="given up at")),
                ("last_status", models.TextField(default="", verbose_name="last answer")),
                (
                    "endpoint",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT,
                        to="consent.webhookendpoint",
                        verbose_name="webhook endpoint",
                    ),
                ),
                (
                    "program",
                    models.ForeignKey(
                        db_index=False,
                        on_delete=django.db.models.deletion.PROTECT,
                        to="consent.miniprogram",
                        verbose_name="mini-program",
                    ),
                ),
                (
                    "subject",
                    models.ForeignKey(
                        db_column="subject_id", on_delete=django.db.models.deletion.DO_NOTHING, to="consent.subject"
                    ),
                ),
            ],
            options={
                "verbose_name": "webhook message",
                "verbose_name_plural": "webhook messages",
                "db_table": "webhook_message",
            },
        ),
        migrations.AddConstraint(
            model_name="webhookendpoint",
            constraint=models.CheckConstraint(
                condition=models.Q(
                    (
                        "events__contained_by",
                        [
                            "consent.changed",
                            "request.updated",
                            "subject.erased",
                            "subject.rectified",
                            "subject.restricted",
                        ],
                    ),
                    ("events__len__gt", 0),
                ),
                name="webhook_endpoint_events",
            ),
        ),
        migrations.AddConstraint(
            model_name="webhookendpoint",
            constraint=models.CheckConstraint(
                condition=models.Q(("acknowledges", False), ("events__contains", ["subject.erased"]), _connector="OR"),
                name="webhook_endpoint_acknowledges",
            ),
        ),
        migrations.AddIndex(
            model_name="webhookmessage",
            index=models.Index(
                condition=models.Q(("dead_at__isnull", True), ("delivered_at__isnull", True)),
                fields=["endpoint", "next_attempt_at"],
                name="webhook_message_waiting",
            ),
        ),
        migrations.AddIndex(
            model_name="webhookmessage",
            index=models.Index(
                condition=models.Q(
                    ("dead_at__isnull", True), ("delivered_at__isnull", True), ("event", "subject.erased")
                ),
                fields=["endpoint", "next_attempt_at"],
                name="webhook_message_erasures",
            ),
        ),
        migrations.AddIndex(
            model_name="webhookmessage",
            index=models.Index(fields=["program", "created_at"], name="webhook_message_created"),
        ),
        migrations.AddConstraint(
            model_name="webhookmessage",
            constraint=models.CheckConstraint(
                condition=models.Q(
                    (
                        "event__in",
                        [
                            "consent.changed",
                            "request.updated",
                            "subject.erased",
                            "subject.rectified",
                            "subject.restricted",
                        ],
                    )
                ),
                name="webhook_message_event",
            ),
        ),
        migrations.AddConstraint(
            model_name="webhookmessage",
            constraint=models.CheckConstraint(
                condition=models.Q(("delivered_at__isnull", True), ("dead_at__isnull", True), _connector="OR"),
                name="webhook_message_ended_once",
            ),
        ),
    ]
