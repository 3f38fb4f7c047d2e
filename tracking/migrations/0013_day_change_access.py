"""Row-level security and grants of the changes of closed days. Nobody deletes them: a sum that fell could come back to what
was right once."""

from django.db import migrations

from consent.programs.security import grant, tenant_policy


class Migration(migrations.Migration):
    dependencies = [("tracking", "0012_day_change")]

    operations = [
        *tenant_policy("day_change"),
        grant("day_change", "zq_app", "SELECT, INSERT, UPDATE (changes)"),
    ]
