"""How many people decided what on the finished days of the last thirty: a worker counts it once a day, the first page adds it up."""

import django.db.models.deletion
from django.db import migrations, models

from consent.programs.security import grant, tenant_policy


class Migration(migrations.Migration):
    dependencies = [("consent", "0092_remark_of_own_run")]

    operations = [
        migrations.CreateModel(
            name="DecidedDay",
            fields=[
                (
                    "pk",
                    models.CompositePrimaryKey(
                        "program_id", "day", blank=True, editable=False, primary_key=True, serialize=False
                    ),
                ),
                ("day", models.DateField()),
                ("people", models.JSONField()),
                ("withheld", models.JSONField()),
                ("counted_at", models.DateTimeField()),
                (
                    "program",
                    models.ForeignKey(
                        db_index=False, on_delete=django.db.models.deletion.PROTECT, to="consent.miniprogram"
                    ),
                ),
            ],
            options={"db_table": "decided_day"},
        ),
        *tenant_policy("decided_day"),
        grant("decided_day", "zq_app", "SELECT, INSERT, UPDATE, DELETE"),
    ]
