"""The log of disclosures."""

import django.contrib.postgres.fields
import django.db.models.deletion
import django.db.models.functions.datetime
from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("consent", "0043_one_verified_erasing_request"),
    ]

    operations = [
        migrations.CreateModel(
            name="Disclosure",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("at", models.DateTimeField(db_default=django.db.models.functions.datetime.Now(), verbose_name="at")),
                (
                    "recipient",
                    models.TextField(
                        choices=[
                            ("subject", "the data subject"),
                            ("representative", "their guardian, next of kin or agent"),
                            ("officer", "an officer of the controller"),
                            ("handler", "another handler of personal information"),
                            ("processor", "a processor, on the controller's behalf"),
                            ("authority", "an authority"),
                        ],
                        verbose_name="recipient",
                    ),
                ),
                ("name", models.TextField(blank=True, default="", verbose_name="name")),
                ("ground", models.TextField(verbose_name="ground")),
                (
                    "fields",
                    django.contrib.postgres.fields.ArrayField(
                        base_field=models.TextField(), size=None, verbose_name="what was given"
                    ),
                ),
                ("subjects", models.BigIntegerField(verbose_name="of how many people")),
                ("target", models.TextField(verbose_name="target")),
                ("actor", models.TextField(verbose_name="actor")),
                (
                    "program",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT,
                        to="consent.miniprogram",
                        verbose_name="mini-program",
                    ),
                ),
                (
                    "purpose",
                    models.ForeignKey(
                        null=True,
                        on_delete=django.db.models.deletion.PROTECT,
                        to="consent.purpose",
                        verbose_name="purpose",
                    ),
                ),
            ],
            options={
                "verbose_name": "disclosure",
                "verbose_name_plural": "log of disclosures",
                "db_table": "disclosure",
                "indexes": [models.Index(fields=["program", "at"], name="disclosure_at")],
                "constraints": [
                    models.CheckConstraint(
                        condition=models.Q(
                            (
                                "recipient__in",
                                ["subject", "representative", "officer", "handler", "processor", "authority"],
                            )
                        ),
                        name="disclosure_recipient",
                    ),
                    models.CheckConstraint(condition=models.Q(("subjects__gte", 0)), name="disclosure_subjects"),
                ],
            },
        ),
    ]
