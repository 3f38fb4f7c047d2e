"""Legal holds, whom they are about, and runs that they hold. New rows keep the constraints; 0042 reads the old ones.

It does not reverse while a run is held: the code before knows no such status.
"""

import django.db.models.deletion
from django.contrib.postgres.operations import AddConstraintNotValid
from django.db import migrations, models

from consent.programs.security import grant, tenant_policy


class Migration(migrations.Migration):
    dependencies = [
        ("consent", "0040_request_duties_hold"),
    ]

    operations = [
        migrations.CreateModel(
            name="HeldSubject",
            fields=[
                (
                    "pk",
                    models.CompositePrimaryKey(
                        "subject_id", "hold_id", blank=True, editable=False, primary_key=True, serialize=False
                    ),
                ),
                ("hold_id", models.BigIntegerField()),
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
                "db_table": "held_subject",
            },
        ),
        migrations.CreateModel(
            name="LegalHold",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("holder", models.TextField(verbose_name="holder")),
                (
                    "ground",
                    models.TextField(
                        choices=[
                            ("transactions", "records of transactions"),
                            ("accounts", "accounting and tax records"),
                            ("network_logs", "network logs"),
                            ("other", "another law or administrative regulation"),
                        ],
                        verbose_name="ground",
                    ),
                ),
                ("law", models.TextField(verbose_name="law and article")),
                ("until", models.DateField(verbose_name="last day")),
                ("everybody", models.BooleanField(verbose_name="everybody")),
                ("created_by", models.TextField(verbose_name="made by")),
                ("created_at", models.DateTimeField(verbose_name="made at")),
                ("lifted_at", models.DateTimeField(null=True, verbose_name="lifted at")),
                ("lifted_by", models.TextField(null=True, verbose_name="lifted by")),
            ],
            options={
                "verbose_name": "legal hold",
                "verbose_name_plural": "legal holds",
                "db_table": "legal_hold",
            },
        ),
        migrations.RemoveConstraint(
            model_name="holderrun",
            name="holder_run_status",
        ),
        migrations.AlterField(
            model_name="holderrun",
            name="status",
            field=models.TextField(
                choices=[
                    ("pending", "pending"),
                    ("running", "running"),
                    ("done", "done"),
                    ("failed", "failed"),
                    ("cancelled", "cancelled"),
                    ("held", "kept by law"),
                ],
                default="pending",
                verbose_name="status",
            ),
        ),
        migrations.AddField(
            model_name="legalhold",
            name="program",
            field=models.ForeignKey(
                on_delete=django.db.models.deletion.PROTECT, to="consent.miniprogram", verbose_name="mini-program"
            ),
        ),
        migrations.AddField(
            model_name="holderrun",
            name="hold",
            field=models.ForeignKey(
                db_index=False,
                null=True,
                on_delete=django.db.models.deletion.PROTECT,
                to="consent.legalhold",
                verbose_name="legal hold",
            ),
        ),
        AddConstraintNotValid(
            model_name="holderrun",
            constraint=models.CheckConstraint(
                condition=models.Q(("status__in", ["pending", "running", "done", "failed", "cancelled", "held"])),
                name="holder_run_status",
            ),
        ),
        AddConstraintNotValid(
            model_name="holderrun",
            constraint=models.CheckConstraint(
                condition=models.Q(
                    models.Q(("status", "held"), _negated=True), ("hold__isnull", False), _connector="OR"
                ),
                name="holder_run_held",
            ),
        ),
        migrations.AddConstraint(
            model_name="legalhold",
            constraint=models.CheckConstraint(
                condition=models.Q(("ground__in", ["transactions", "accounts", "network_logs", "other"])),
                name="legal_hold_ground",
            ),
        ),
        migrations.AddConstraint(
            model_name="legalhold",
            constraint=models.CheckConstraint(condition=models.Q(("law", ""), _negated=True), name="legal_hold_law"),
        ),
        migrations.AddConstraint(
            model_name="legalhold",
            constraint=models.CheckConstraint(
                condition=models.Q(
                    models.Q(("lifted_at__isnull", True), ("lifted_by__isnull", True)),
                    models.Q(("lifted_at__isnull", False), ("lifted_by__isnull", False)),
                    _connector="OR",
                ),
                name="legal_hold_lifted",
            ),
        ),
        *tenant_policy("legal_hold"),
        *tenant_policy("held_subject"),
        grant("legal_hold", "zq_app", "SELECT, INSERT, UPDATE"),
        grant("held_subject", "zq_app", "SELECT, INSERT"),
        grant("held_subject", "zq_erase", "SELECT, DELETE"),
    ]
