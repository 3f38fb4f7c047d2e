"""The leaves of a mini-program are found by an index of which no two entries are alike: one of the mini-program alone, which a foreign
key brings along, has every act write into one list of all leaves."""

import django.db.models.deletion
from django.db import migrations, models

from consent.indexes import built_beside_writes

_INDEX = "leaf_program_id_b3ad45dd"
_DROP = f"DROP INDEX CONCURRENTLY IF EXISTS {_INDEX}"
_FOREVER, _AS_BEFORE = "SET lock_timeout = 0", "RESET lock_timeout"


class Migration(migrations.Migration):
    atomic = False
    dependencies = [("consent", "0095_leaf_without_foreign_key")]

    operations = [
        built_beside_writes(
            "leaf", models.Index(fields=["program", "id"], name="leaf_of_program"), "ON leaf (program_id, id)"
        ),
        migrations.SeparateDatabaseAndState(
            database_operations=[
                migrations.RunSQL(
                    [_FOREVER, _DROP, _AS_BEFORE],
                    [_FOREVER, _DROP, f"CREATE INDEX CONCURRENTLY {_INDEX} ON leaf (program_id)", _AS_BEFORE],
                )
            ],
            state_operations=[
                migrations.AlterField(
                    "leaf",
                    "program",
                    models.ForeignKey(
                        db_constraint=False,
                        db_index=False,
                        null=True,
                        on_delete=django.db.models.deletion.PROTECT,
                        to="consent.miniprogram",
                    ),
                )
            ],
        ),
    ]
