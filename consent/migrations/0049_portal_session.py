"""Links to the data subject's own pages, and the sessions that they open."""

import django.db.models.deletion
from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("consent", "0048_record_withdrawn"),
    ]

    operations = [
        migrations.CreateModel(
            name="PortalSession",
            fields=[
                (
                    "pk",
                    models.CompositePrimaryKey(
                        "subject_id", "link_hash", blank=True, editable=False, primary_key=True, serialize=False
                    ),
                ),
                ("link_hash", models.BinaryField(max_length=32)),
                ("client_id", models.BigIntegerField()),
                ("locale", models.TextField()),
                (
                    "view",
                    models.TextField(choices=[("consents", "Consents"), ("data", "Data"), ("requests", "Requests")]),
                ),
                ("stepped_up", models.BooleanField(default=False)),
                ("link_until", models.DateTimeField()),
                ("secret_hash", models.BinaryField(max_length=32, null=True)),
                ("opened_until", models.DateTimeField(null=True)),
                (
                    "program",
                    models.ForeignKey(
                        db_index=False, on_delete=django.db.models.deletion.PROTECT, to="consent.miniprogram"
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
                "db_table": "portal_session",
                "indexes": [
                    models.Index(fields=["link_hash"], name="portal_session_link"),
                    models.Index(fields=["secret_hash"], name="portal_session_secret"),
                    models.Index(fields=["program", "link_until"], name="portal_session_over"),
                ],
                "constraints": [
                    models.CheckConstraint(
                        condition=models.Q(("view__in", ["consents", "data", "requests"])), name="portal_session_view"
                    ),
                    models.CheckConstraint(
                        condition=models.Q(
                            models.Q(("opened_until__isnull", True), ("secret_hash__isnull", True)),
                            models.Q(("opened_until__isnull", False), ("secret_hash__isnull", False)),
                            _connector="OR",
                        ),
                        name="portal_session_opened",
                    ),
                ],
            },
        ),
    ]
