"""What writers have to hold of the keyring, and what running processes do hold. Every keyring so far has version 1 of each key:
who finds no other index than that one's must go on writing it."""

import django.db.models.functions.datetime
from django.db import migrations, models

from consent.programs.security import grant

FIRST = "INSERT INTO key_version (family, version, writes) VALUES ('key_encryption', 1, 'optional'), ('index', 1, 'required')"


class Migration(migrations.Migration):
    dependencies = [("consent", "0076_audit_leaf")]

    operations = [
        migrations.CreateModel(
            name="KeyVersion",
            fields=[
                (
                    "pk",
                    models.CompositePrimaryKey(
                        "family", "version", blank=True, editable=False, primary_key=True, serialize=False
                    ),
                ),
                ("family", models.TextField()),
                ("version", models.IntegerField()),
                (
                    "writes",
                    models.TextField(
                        choices=[("optional", "Optional"), ("required", "Required"), ("refused", "Refused")]
                    ),
                ),
                ("since", models.DateTimeField(db_default=django.db.models.functions.datetime.Now())),
            ],
            options={
                "db_table": "key_version",
                "constraints": [
                    models.CheckConstraint(
                        condition=models.Q(("writes__in", ["optional", "required", "refused"])),
                        name="key_version_writes",
                    )
                ],
            },
        ),
        migrations.CreateModel(
            name="KeyringProcess",
            fields=[
                ("id", models.UUIDField(primary_key=True, serialize=False)),
                ("kind", models.TextField()),
                ("holds", models.JSONField()),
                ("until", models.DateTimeField()),
            ],
            options={"db_table": "keyring_process"},
        ),
        migrations.RunSQL(FIRST, migrations.RunSQL.noop),
        grant("key_version", "zq_app", "SELECT, INSERT, UPDATE"),
        grant("keyring_process", "zq_app", "SELECT, INSERT, UPDATE, DELETE"),
        migrations.RunSQL(
            "GRANT UPDATE (wrapped, key_version) ON data_key TO zq_app",
            "REVOKE UPDATE (wrapped, key_version) ON data_key FROM zq_app",
        ),
    ]
