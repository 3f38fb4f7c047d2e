"""Who may do what with reminders and the hourly counts: rows of the current mini-program only."""

from django.db import migrations

from consent.programs.security import grant, tenant_policy


class Migration(migrations.Migration):
    dependencies = [("consent", "0038_request_duties")]

    operations = [
        *tenant_policy("request_reminder"),
        *tenant_policy("erasure_count"),
        grant("request_reminder", "zq_app", "SELECT, INSERT"),
        grant("erasure_count", "zq_app", "SELECT, INSERT, UPDATE, DELETE"),
    ]
