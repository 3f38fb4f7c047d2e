"""Who may do what with credentials: those of the current mini-program only, and nobody but the application."""

from django.db import migrations

from consent.programs.security import grant, tenant_policy


class Migration(migrations.Migration):
    dependencies = [("consent", "0050_platform_credential")]

    operations = [
        *tenant_policy("platform_credential"),
        grant("platform_credential", "zq_app", "SELECT, INSERT, UPDATE, DELETE"),
    ]
