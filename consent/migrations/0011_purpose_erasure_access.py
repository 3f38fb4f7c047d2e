"""Who may do what with the erasures that acts owe. Whoever erases asks what the notices told."""

from django.db import migrations

from consent.programs.security import grant, ops_policy, tenant_policy


class Migration(migrations.Migration):
    dependencies = [("consent", "0010_purpose_erasure")]

    operations = [
        *tenant_policy("purpose_erasure"),
        ops_policy("purpose_erasure"),
        grant("purpose_erasure", "zq_app", "SELECT, INSERT, UPDATE"),
        grant("purpose_erasure", "zq_erase", "SELECT, DELETE"),
        grant("purpose_erasure", "zq_ops", "SELECT"),
        grant("notice_purpose", "zq_erase", "SELECT"),
    ]
