"""The audit log is searched by time and by what an entry is about; who may make compliance audit reports."""

import django.db.models.deletion
from django.db import migrations, models

from consent.indexes import built_beside_writes

OLD = "audit_entry_program_id_80f0c2e9"
"""Of the mini-program alone, which the others begin with."""


class Migration(migrations.Migration):
    atomic = False
    dependencies = [("consent", "0063_desk_indexes")]

    operations = [
        migrations.AlterModelOptions(
            "auditentry",
            {
                "permissions": [("view_audit_report", "Can make compliance audit reports")],
                "verbose_name": "audit entry",
                "verbose_name_plural": "audit log",
            },
        ),
        built_beside_writes(
            "auditentry",
            models.Index(fields=["program", "at", "id"], name="audit_entry_at"),
            "ON audit_entry (program_id, at, id)",
        ),
        built_beside_writes(
            "auditentry",
            models.Index(fields=["program", "target", "at"], name="audit_entry_target"),
            "ON audit_entry (program_id, target, at)",
        ),
        built_beside_writes(
            "auditentry",
            models.Index(fields=["program", "actor", "at"], name="audit_entry_actor"),
            "ON audit_entry (program_id, actor, at)",
        ),
        built_beside_writes(
            "auditentry",
            models.Index(fields=["program", "action", "at"], name="audit_entry_action"),
            "ON audit_entry (program_id, action, at)",
        ),
        built_beside_writes(
            "accountentry", models.Index(fields=["at", "id"], name="account_entry_at"), "ON account_entry (at, id)"
        ),
        migrations.SeparateDatabaseAndState(
            database_operations=[
                migrations.RunSQL(
                    f"DROP INDEX CONCURRENTLY IF EXISTS {OLD}",
                    [
                        f"DROP INDEX CONCURRENTLY IF EXISTS {OLD}",
                        f"CREATE INDEX CONCURRENTLY {OLD} ON audit_entry (program_id)",
                    ],
                )
            ],
            state_operations=[
                migrations.AlterField(
                    "auditentry",
                    "program",
                    models.ForeignKey(
                        db_index=False,
                        on_delete=django.db.models.deletion.PROTECT,
                        to="consent.miniprogram",
                        verbose_name="mini-program",
                    ),
                )
            ],
        ),
    ]
