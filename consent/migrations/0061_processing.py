"""Processors, cross-border mechanisms and incidents."""

import django.contrib.postgres.fields
import django.db.models.deletion
import django.db.models.functions.datetime
from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("consent", "0060_searches_index"),
    ]

    operations = [
        migrations.CreateModel(
            name="Incident",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                (
                    "opened_at",
                    models.DateTimeField(
                        db_default=django.db.models.functions.datetime.Now(), verbose_name="opened at"
                    ),
                ),
                ("opened_by", models.TextField(verbose_name="opened by")),
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
                "verbose_name": "incident",
                "verbose_name_plural": "incidents",
                "db_table": "incident",
                "permissions": [("download_affected", "Can download the pseudonyms of those an incident affects")],
            },
        ),
        migrations.CreateModel(
            name="IncidentEntry",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("at", models.DateTimeField(db_default=django.db.models.functions.datetime.Now(), verbose_name="at")),
                ("by", models.TextField(verbose_name="entered by")),
                ("happened", models.TextField(verbose_name="what happened")),
                ("found_at", models.DateTimeField(verbose_name="found at")),
                ("key", models.TextField(blank=True, null=True, verbose_name="key")),
                ("table", models.TextField(blank=True, null=True, verbose_name="table")),
                ("since", models.DateTimeField(blank=True, null=True, verbose_name="from")),
                ("until", models.DateTimeField(blank=True, null=True, verbose_name="until")),
                ("authority_at", models.DateTimeField(blank=True, null=True, verbose_name="authority notified at")),
                ("people_at", models.DateTimeField(blank=True, null=True, verbose_name="people notified at")),
                (
                    "people_not_told",
                    models.TextField(blank=True, default="", verbose_name="why people need not be notified"),
                ),
                ("measures", models.TextField(blank=True, default="", verbose_name="measures")),
                ("closed", models.BooleanField(default=False, verbose_name="closed")),
                (
                    "incident",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="entries",
                        to="consent.incident",
                        verbose_name="incident",
                    ),
                ),
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
                "verbose_name": "entry of an incident",
                "verbose_name_plural": "entries of incidents",
                "db_table": "incident_entry",
                "constraints": [
                    models.CheckConstraint(
                        condition=models.Q(
                            models.Q(("key__isnull", True), ("table__isnull", True), _connector="OR"),
                            models.Q(
                                ("since__isnull", True),
                                models.Q(("key__isnull", True), ("table__isnull", True)),
                                _connector="OR",
                            ),
                        ),
                        name="incident_entry_one_scope",
                    ),
                    models.CheckConstraint(
                        condition=models.Q(
                            models.Q(("since__isnull", True), ("until__isnull", True)),
                            models.Q(
                                ("since__isnull", False), ("since__lt", models.F("until")), ("until__isnull", False)
                            ),
                            _connector="OR",
                        ),
                        name="incident_entry_window",
                    ),
                    models.CheckConstraint(
                        condition=models.Q(
                            ("closed", False),
                            models.Q(
                                ("authority_at__isnull", False),
                                models.Q(("measures", ""), _negated=True),
                                models.Q(
                                    ("people_at__isnull", False),
                                    models.Q(("people_not_told", ""), _negated=True),
                                    _connector="OR",
                                ),
                            ),
                            _connector="OR",
                        ),
                        name="incident_entry_closed",
                    ),
                ],
            },
        ),
        migrations.CreateModel(
            name="Mechanism",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                (
                    "purposes",
                    django.contrib.postgres.fields.ArrayField(
                        base_field=models.TextField(), size=None, verbose_name="purposes"
                    ),
                ),
                ("valid_from", models.DateField(verbose_name="valid from")),
                ("valid_until", models.DateField(blank=True, null=True, verbose_name="last day")),
                (
                    "noted",
                    models.TextField(choices=[("ending", "ends soon"), ("ended", "ended")], editable=False, null=True),
                ),
                (
                    "created_at",
                    models.DateTimeField(
                        db_default=django.db.models.functions.datetime.Now(), verbose_name="created at"
                    ),
                ),
                (
                    "kind",
                    models.TextField(
                        choices=[
                            ("assessment", "security assessment"),
                            ("certification", "certification"),
                            ("standard_contract", "standard contract"),
                            ("exemption", "exemption"),
                        ],
                        verbose_name="kind",
                    ),
                ),
                ("recipient", models.TextField(verbose_name="recipient abroad")),
                ("reference", models.TextField(blank=True, default="", verbose_name="reference")),
                ("ground", models.TextField(blank=True, default="", verbose_name="ground of the exemption")),
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
                "verbose_name": "cross-border mechanism",
                "verbose_name_plural": "cross-border mechanisms",
                "db_table": "mechanism",
                "abstract": False,
                "constraints": [
                    models.CheckConstraint(condition=models.Q(("purposes__len__gt", 0)), name="mechanism_purposes"),
                    models.CheckConstraint(
                        condition=models.Q(
                            ("valid_until__isnull", True), ("valid_until__gte", models.F("valid_from")), _connector="OR"
                        ),
                        name="mechanism_term",
                    ),
                    models.CheckConstraint(
                        condition=models.Q(("noted__in", ["ending", "ended"])), name="mechanism_noted"
                    ),
                    models.CheckConstraint(
                        condition=models.Q(
                            ("kind__in", ["assessment", "certification", "standard_contract", "exemption"])
                        ),
                        name="mechanism_kind",
                    ),
                    models.CheckConstraint(
                        condition=models.Q(
                            models.Q(("kind", "exemption"), models.Q(("ground", ""), _negated=True)),
                            models.Q(
                                models.Q(("kind", "exemption"), _negated=True),
                                models.Q(("reference", ""), _negated=True),
                            ),
                            _connector="OR",
                        ),
                        name="mechanism_reference",
                    ),
                ],
            },
        ),
        migrations.CreateModel(
            name="Processor",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                (
                    "purposes",
                    django.contrib.postgres.fields.ArrayField(
                        base_field=models.TextField(), size=None, verbose_name="purposes"
                    ),
                ),
                ("valid_from", models.DateField(verbose_name="valid from")),
                ("valid_until", models.DateField(blank=True, null=True, verbose_name="last day")),
                (
                    "noted",
                    models.TextField(choices=[("ending", "ends soon"), ("ended", "ended")], editable=False, null=True),
                ),
                (
                    "created_at",
                    models.DateTimeField(
                        db_default=django.db.models.functions.datetime.Now(), verbose_name="created at"
                    ),
                ),
                ("name", models.TextField(verbose_name="name")),
                ("contact", models.TextField(verbose_name="contact")),
                (
                    "categories",
                    django.contrib.postgres.fields.ArrayField(
                        base_field=models.TextField(), size=None, verbose_name="categories"
                    ),
                ),
                ("method", models.TextField(verbose_name="method of processing")),
                ("measures", models.TextField(verbose_name="protective measures")),
                ("contract", models.TextField(verbose_name="reference of the contract")),
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
                "verbose_name": "processor",
                "verbose_name_plural": "processors",
                "db_table": "processor",
                "abstract": False,
                "constraints": [
                    models.CheckConstraint(condition=models.Q(("purposes__len__gt", 0)), name="processor_purposes"),
                    models.CheckConstraint(
                        condition=models.Q(
                            ("valid_until__isnull", True), ("valid_until__gte", models.F("valid_from")), _connector="OR"
                        ),
                        name="processor_term",
                    ),
                    models.CheckConstraint(
                        condition=models.Q(("noted__in", ["ending", "ended"])), name="processor_noted"
                    ),
                ],
            },
        ),
    ]
