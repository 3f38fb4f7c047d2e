"""Row-level security and grants of the rollups. Bitmaps do not compress: PostgreSQL would try in vain at each change."""

from django.db import migrations

from consent.programs.security import grant, tenant_policy


class Migration(migrations.Migration):
    dependencies = [("reports", "0001_rollups"), ("consent", "0004_grants")]

    operations = [
        *tenant_policy("rollup_day"),
        *tenant_policy("rollup"),
        grant("rollup_day", "zq_app", "SELECT, INSERT, UPDATE"),
        grant("rollup", "zq_app", "SELECT, INSERT, UPDATE"),
        grant("rollup_day", "zq_erase", "SELECT, DELETE"),
        grant("rollup", "zq_erase", "SELECT, DELETE"),
        migrations.RunSQL(
            "ALTER TABLE rollup ALTER subjects SET STORAGE EXTERNAL",
            "ALTER TABLE rollup ALTER subjects SET STORAGE EXTENDED",
        ),
    ]
