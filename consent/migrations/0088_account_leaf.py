"""Entries of the log of accounts have leaves, too, which are no mini-program's: who is under a mini-program neither sees nor writes them.

In reverse the salts go with their column, so the log has to list these leaves; they themselves stay, and so does the column as it is.
Nothing tells that from entries that somebody took out: verify_ledger names each from then on.
"""

import django.db.models.deletion
from django.db import migrations, models

from consent.programs.security import TENANT

_IN_A_MOMENT = "SET LOCAL lock_timeout = '5s'"
_REDACTED = "INSERT INTO leaf_redacted (leaf_id) SELECT leaf_id FROM account_entry WHERE leaf_id IS NOT NULL ON CONFLICT DO NOTHING"


class Migration(migrations.Migration):
    dependencies = [("consent", "0087_waiting_for_replay")]

    operations = [
        migrations.RunSQL(_IN_A_MOMENT, migrations.RunSQL.noop),
        migrations.SeparateDatabaseAndState(
            database_operations=[
                migrations.RunSQL("ALTER TABLE leaf ALTER COLUMN program_id DROP NOT NULL", migrations.RunSQL.noop)
            ],
            state_operations=[
                migrations.AlterField(
                    "leaf",
                    "program",
                    models.ForeignKey(null=True, on_delete=django.db.models.deletion.PROTECT, to="consent.miniprogram"),
                )
            ],
        ),
        migrations.RunSQL(
            f"CREATE POLICY of_no_program ON leaf TO zq_app USING (program_id IS NULL AND {TENANT} IS NULL)",
            "DROP POLICY of_no_program ON leaf",
        ),
        migrations.AddField("accountentry", "leaf_id", models.BigIntegerField(null=True, verbose_name="leaf")),
        migrations.AddField("accountentry", "salt", models.BinaryField(max_length=32, null=True, verbose_name="salt")),
        migrations.RunSQL(migrations.RunSQL.noop, _REDACTED),
        # An entry has its number before it is written: its leaf commits to it.
        migrations.RunSQL(
            "GRANT USAGE ON SEQUENCE account_entry_id_seq TO zq_app",
            "REVOKE ALL ON SEQUENCE account_entry_id_seq FROM zq_app",
        ),
        migrations.RunSQL(migrations.RunSQL.noop, _IN_A_MOMENT),
    ]
