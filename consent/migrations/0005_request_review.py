"""Requests go to review, and are rejected and extended with a reason. Columns may be empty, so nothing is rewritten.

It does not reverse while a request is in review: its runs would need a time, and the code before would carry them out.
Reversing drops the reasons of requests rejected since; without these the constraints that follow do not hold again.
"""

import django.db.models.deletion
from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("consent", "0004_grants"),
    ]

    operations = [
        migrations.CreateModel(
            name="ReviewRule",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                (
                    "kind",
                    models.TextField(
                        choices=[
                            ("access", "access"),
                            ("copy", "copy"),
                            ("portability", "portability"),
                            ("rectification", "rectification"),
                            ("erasure", "erasure"),
                            ("restriction", "restriction"),
                            ("objection", "objection"),
                            ("cancellation", "account cancellation"),
                            ("explanation", "explanation"),
                        ],
                        verbose_name="kind",
                    ),
                ),
            ],
            options={
                "verbose_name": "review rule",
                "verbose_name_plural": "review rules",
                "db_table": "review_rule",
            },
        ),
        migrations.AddField(
            model_name="requestsubject",
            name="rejection",
            field=models.BinaryField(null=True),
        ),
        migrations.AddField(
            model_name="subjectrequest",
            name="extended_from",
            field=models.DateTimeField(null=True, verbose_name="first due at"),
        ),
        migrations.AddField(
            model_name="subjectrequest",
            name="extension",
            field=models.TextField(
                choices=[
                    ("complex", "the request is complex"),
                    ("numerous", "many requests came at once"),
                    ("verification", "identity is still being verified"),
                    ("others", "others who hold the data must be asked"),
                ],
                null=True,
                verbose_name="reason of the extension",
            ),
        ),
        migrations.AddField(
            model_name="subjectrequest",
            name="rejection",
            field=models.TextField(
                choices=[
                    ("identity_not_verified", "identity not verified"),
                    ("not_data_subject", "not the data subject, and without authority to act for them"),
                    ("retention_required", "a law requires keeping the data"),
                    ("technically_infeasible", "erasure is technically hard to realise"),
                ],
                null=True,
                verbose_name="reason of the rejection",
            ),
        ),
        migrations.AddField(
            model_name="subjectrequest",
            name="reviewed",
            field=models.BooleanField(db_default=False, default=False, verbose_name="sent to review"),
        ),
        migrations.AlterField(
            model_name="holderrun",
            name="not_before",
            field=models.DateTimeField(null=True, verbose_name="not before"),
        ),
        migrations.AddField(
            model_name="reviewrule",
            name="program",
            field=models.ForeignKey(
                on_delete=django.db.models.deletion.PROTECT, to="consent.miniprogram", verbose_name="mini-program"
            ),
        ),
        migrations.AddConstraint(
            model_name="reviewrule",
            constraint=models.UniqueConstraint(fields=("program", "kind"), name="review_rule_once"),
        ),
        migrations.AddConstraint(
            model_name="reviewrule",
            constraint=models.CheckConstraint(
                condition=models.Q(
                    (
                        "kind__in",
                        [
                            "access",
                            "copy",
                            "portability",
                            "rectification",
                            "erasure",
                            "restriction",
                            "objection",
                            "cancellation",
                            "explanation",
                        ],
                    )
                ),
                name="review_rule_kind",
            ),
        ),
    ]
