"""Row-level security and grants of saved reports."""

from django.db import migrations

from consent.programs.security import grant, tenant_policy


class Migration(migrations.Migration):
    dependencies = [("reports", "0007_saved_report"), ("consent", "0004_grants")]

    operations = [*tenant_policy("saved_report"), grant("saved_report", "zq_app", "SELECT, INSERT, UPDATE, DELETE")]
