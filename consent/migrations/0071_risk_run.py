"""The log of risk monitoring: what each look found, and what officers said of it."""

import django.db.models.deletion
import django.db.models.functions.datetime
from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("consent", "0070_webhook_released")]

    operations = [
        migrations.CreateModel(
            name="RiskRun",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                (
                    "checked_at",
                    models.DateTimeField(
                        db_default=django.db.models.functions.datetime.Now(), verbose_name="checked at"
                    ),
                ),
                ("by", models.TextField(verbose_name="started by")),
                ("found", models.JSONField(verbose_name="found")),
                ("above", models.SmallIntegerField(verbose_name="above the threshold")),
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
                "verbose_name": "look at risks",
                "verbose_name_plural": "risk monitoring",
                "db_table": "risk_run",
                "indexes": [models.Index(fields=["program", "checked_at", "id"], name="risk_run_checked_at")],
                "constraints": [models.CheckConstraint(condition=models.Q(("above__gte", 0)), name="risk_run_above")],
            },
        ),
        migrations.CreateModel(
            name="RiskRemark",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("check_code", models.TextField(verbose_name="check")),
                ("at", models.DateTimeField(db_default=django.db.models.functions.datetime.Now(), verbose_name="at")),
                ("by", models.TextField(verbose_name="entered by")),
                ("remark", models.TextField(verbose_name="remark")),
                ("done", models.TextField(blank=True, default="", verbose_name="what was done")),
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
                    "run",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="remarks",
                        to="consent.riskrun",
                        verbose_name="look at risks",
                    ),
                ),
            ],
            options={
                "verbose_name": "remark on a risk",
                "verbose_name_plural": "remarks on risks",
                "db_table": "risk_remark",
                "indexes": [models.Index(fields=["program", "check_code", "at"], name="risk_remark_check")],
                "constraints": [
                    models.CheckConstraint(condition=models.Q(("remark", ""), _negated=True), name="risk_remark_says")
                ],
            },
        ),
    ]
