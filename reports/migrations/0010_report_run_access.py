"""Row-level security and grants of the questions that a worker answers; who looks for due ones sees neither question nor answer."""

from django.db import migrations

from consent.programs.security import grant, ops_policy, tenant_policy


class Migration(migrations.Migration):
    dependencies = [("reports", "0009_report_run"), ("consent", "0004_grants")]

    operations = [
        *tenant_policy("report_run"),
        ops_policy("report_run"),
        grant("report_run", "zq_app", "SELECT, INSERT, UPDATE"),
        grant("report_run", "zq_erase", "SELECT (id, program_id, expires_at), DELETE"),
        grant("report_run", "zq_ops", "SELECT (id, program_id, state, asked_at, not_before, lease_until)"),
    ]
