"""Keys and their clients are found by valid_api_key() alone (0013): the role that finds due work reads neither any more."""

from django.db import migrations

from consent.programs.security import grant, ops_policy


def undone(operation: migrations.RunSQL) -> migrations.RunSQL:
    """What takes back a grant or a policy of an earlier migration, and gives it again when it is reversed."""
    return migrations.RunSQL(operation.reverse_sql, operation.sql)


class Migration(migrations.Migration):
    dependencies = [("consent", "0013_valid_api_key")]

    operations = [undone(ops_policy(table)) for table in ("api_key", "api_client")] + [
        undone(grant(table, "zq_ops", "SELECT")) for table in ("api_key", "api_client")
    ]
