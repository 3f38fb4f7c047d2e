"""Who may do what with portal sessions: the worker deletes what is over."""

from django.db import migrations

from consent.programs.security import grant, tenant_policy


class Migration(migrations.Migration):
    dependencies = [("consent", "0051_platform_credential_access")]

    operations = [
        *tenant_policy("portal_session"),
        grant("portal_session", "zq_app", "SELECT, INSERT, UPDATE (secret_hash, opened_until, locale)"),
        grant("portal_session", "zq_erase", "SELECT, DELETE"),
    ]
