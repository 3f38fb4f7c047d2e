"""Row-level security and grants of the figures that stand."""

from django.db import migrations

from consent.programs.security import grant, tenant_policy


class Migration(migrations.Migration):
    dependencies = [("reports", "0004_frozen_line"), ("consent", "0004_grants")]

    operations = [
        *tenant_policy("frozen_line"),
        grant("frozen_line", "zq_app", "SELECT, INSERT, UPDATE"),
        grant("frozen_line", "zq_erase", "SELECT, DELETE"),
    ]
