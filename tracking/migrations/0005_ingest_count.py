"""Counters of what became of events, by hour: numbers and words of ours."""

import django.db.models.deletion
from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("consent", "0004_grants"),
        ("tracking", "0004_page_subject"),
    ]

    operations = [
        migrations.CreateModel(
            name="IngestCount",
            fields=[
                (
                    "pk",
                    models.CompositePrimaryKey(
                        "program_id",
                        "hour",
                        "type_id",
                        "answer",
                        "code",
                        "slot",
                        blank=True,
                        editable=False,
                        primary_key=True,
                        serialize=False,
                    ),
                ),
                ("hour", models.DateTimeField()),
                ("type_id", models.BigIntegerField()),
                (
                    "answer",
                    models.TextField(
                        choices=[
                            ("accepted", "Accepted"),
                            ("late", "Late"),
                            ("duplicate", "Duplicate"),
                            ("refused", "Refused"),
                        ],
                        db_collation="C",
                    ),
                ),
                ("code", models.TextField(db_collation="C")),
                ("slot", models.SmallIntegerField()),
                ("events", models.BigIntegerField()),
                ("day_subjects", models.IntegerField()),
                (
                    "program",
                    models.ForeignKey(
                        db_index=False, on_delete=django.db.models.deletion.PROTECT, to="consent.miniprogram"
                    ),
                ),
            ],
            options={
                "verbose_name": "ingest counter",
                "verbose_name_plural": "ingest counters",
                "db_table": "ingest_count",
                "constraints": [
                    models.CheckConstraint(
                        condition=models.Q(
                            models.Q(
                                ("answer", "refused"),
                                (
                                    "code__in",
                                    (
                                        "consent_missing",
                                        "consent_refused",
                                        "consent_withdrawn",
                                        "consent_expired",
                                        "outside_consent",
                                        "renewal_required",
                                        "guardian_required",
                                        "restricted",
                                        "erasure_pending",
                                        "unknown_event",
                                        "undeclared_property",
                                        "invalid_property",
                                        "identifier_in_property",
                                        "too_old",
                                        "in_the_future",
                                        "invalid_event",
                                    ),
                                ),
                            ),
                            models.Q(("answer__in", ["accepted", "late", "duplicate"]), ("code", "")),
                            _connector="OR",
                        ),
                        name="ingest_count_answer",
                    ),
                    models.CheckConstraint(
                        condition=models.Q(
                            ("day_subjects__gte", 0), ("events__gt", 0), ("slot__gte", 0), ("slot__lt", 32)
                        ),
                        name="ingest_count_numbers",
                    ),
                ],
            },
        ),
    ]
