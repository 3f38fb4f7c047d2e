"""Row-level security and grants of the packed events."""

from django.db import migrations

from consent.programs.security import grant, tenant_policy


class Migration(migrations.Migration):
    dependencies = [("reports", "0011_rollup_events"), ("consent", "0004_grants")]

    operations = [
        *tenant_policy("rollup_events"),
        grant("rollup_events", "zq_app", "SELECT, INSERT"),
        grant("rollup_events", "zq_erase", "SELECT, DELETE"),
    ]
