"""Who filed and who approved a request, how a requester was verified, that a refusal was delivered, reminders, and erasures
counted by the hour. Columns may be empty or have a constant default, so nothing is rewritten; 0040 reads the old rows."""

import django.db.models.deletion
from django.contrib.postgres.operations import AddConstraintNotValid
from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("consent", "0037_one_erasing_request"),
    ]

    operations = [
        migrations.CreateModel(
            name="ErasureCount",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("filed_by", models.TextField()),
                ("hour", models.DateTimeField()),
                ("erasures", models.IntegerField()),
            ],
            options={
                "db_table": "erasure_count",
            },
        ),
        migrations.CreateModel(
            name="RequestReminder",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                (
                    "stage",
                    models.TextField(
                        choices=[
                            ("due_soon", "due soon"),
                            ("overdue", "overdue"),
                            ("undelivered", "refusal not delivered"),
                        ]
                    ),
                ),
                ("due_on", models.DateField()),
            ],
            options={
                "db_table": "request_reminder",
            },
        ),
        migrations.AddField(
            model_name="requestsubject",
            name="verified",
            field=models.BinaryField(null=True),
        ),
        migrations.AddField(
            model_name="subjectrequest",
            name="approved_by",
            field=models.TextField(null=True, verbose_name="approved by"),
        ),
        migrations.AddField(
            model_name="subjectrequest",
            name="filed_by",
            field=models.TextField(db_default="", default="", verbose_name="filed by"),
        ),
        migrations.AddField(
            model_name="subjectrequest",
            name="rejection_delivered_at",
            field=models.DateTimeField(null=True, verbose_name="refusal delivered at"),
        ),
        AddConstraintNotValid(
            model_name="subjectrequest",
            constraint=models.CheckConstraint(
                condition=models.Q(("rejection_delivered_at__isnull", True), ("state", "rejected"), _connector="OR"),
                name="subject_request_delivered",
            ),
        ),
        AddConstraintNotValid(
            model_name="subjectrequest",
            constraint=models.CheckConstraint(
                condition=models.Q(
                    ("approved_by", models.F("filed_by")),
                    ("filed_by__startswith", "officer:"),
                    ("kind__in", ["erasure", "cancellation"]),
                    _negated=True,
                ),
                name="subject_request_two_officers",
            ),
        ),
        migrations.AddField(
            model_name="erasurecount",
            name="program",
            field=models.ForeignKey(
                db_index=False, on_delete=django.db.models.deletion.PROTECT, to="consent.miniprogram"
            ),
        ),
        migrations.AddField(
            model_name="requestreminder",
            name="program",
            field=models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, to="consent.miniprogram"),
        ),
        migrations.AddField(
            model_name="requestreminder",
            name="request",
            field=models.ForeignKey(
                db_index=False, on_delete=django.db.models.deletion.PROTECT, to="consent.subjectrequest"
            ),
        ),
        migrations.AddConstraint(
            model_name="erasurecount",
            constraint=models.UniqueConstraint(fields=("program", "filed_by", "hour"), name="erasure_count_once"),
        ),
        migrations.AddConstraint(
            model_name="requestreminder",
            constraint=models.UniqueConstraint(fields=("request", "stage", "due_on"), name="request_reminder_once"),
        ),
        migrations.AddConstraint(
            model_name="requestreminder",
            constraint=models.CheckConstraint(
                condition=models.Q(("stage__in", ["due_soon", "overdue", "undelivered"])), name="request_reminder_stage"
            ),
        ),
    ]
