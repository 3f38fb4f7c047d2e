"""Notices that officers are writing."""

import django.db.models.deletion
import django.db.models.functions.datetime
from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("consent", "0016_impact_assessment_access")]

    operations = [
        migrations.CreateModel(
            name="NoticeDraft",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("name", models.TextField(verbose_name="name")),
                ("source", models.TextField(verbose_name="text")),
                ("edited_by", models.TextField(verbose_name="edited by")),
                (
                    "updated_at",
                    models.DateTimeField(
                        db_default=django.db.models.functions.datetime.Now(), verbose_name="updated at"
                    ),
                ),
                (
                    "notice",
                    models.ForeignKey(
                        blank=True,
                        null=True,
                        on_delete=django.db.models.deletion.PROTECT,
                        to="consent.notice",
                        verbose_name="published as",
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
                "verbose_name": "notice draft",
                "verbose_name_plural": "notice drafts",
                "db_table": "notice_draft",
            },
        ),
    ]
