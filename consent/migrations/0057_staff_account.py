"""Staff accounts may end, and what is done to them is kept, appended and never changed."""

import django.db.models.functions.datetime
from django.conf import settings
from django.db import migrations, models

from consent.programs.security import grant


class Migration(migrations.Migration):
    dependencies = [("consent", "0056_role_permissions"), migrations.swappable_dependency(settings.AUTH_USER_MODEL)]

    operations = [
        migrations.CreateModel(
            name="StaffAccount",
            fields=[
                (
                    "user",
                    models.OneToOneField(
                        on_delete=models.CASCADE,
                        primary_key=True,
                        related_name="staff",
                        serialize=False,
                        to=settings.AUTH_USER_MODEL,
                        verbose_name="officer",
                    ),
                ),
                ("expires_at", models.DateTimeField(blank=True, null=True, verbose_name="expires at")),
            ],
            options={
                "db_table": "staff_account",
                "verbose_name": "staff account",
                "verbose_name_plural": "staff accounts",
            },
        ),
        migrations.CreateModel(
            name="AccountEntry",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                (
                    "at",
                    models.DateTimeField(db_default=django.db.models.functions.datetime.Now(), verbose_name="at"),
                ),
                ("actor", models.TextField(verbose_name="actor")),
                ("action", models.TextField(verbose_name="action")),
                ("account", models.TextField(verbose_name="account")),
                ("details", models.JSONField(default=dict, verbose_name="details")),
            ],
            options={
                "db_table": "account_entry",
                "verbose_name": "account log entry",
                "verbose_name_plural": "log of accounts",
            },
        ),
        grant("staff_account", "zq_app", "SELECT, INSERT, UPDATE"),
        grant("account_entry", "zq_app", "SELECT, INSERT"),
    ]
