"""Leaves no longer name their mini-program by a foreign key, as events do not: to check it every act locked one row for as long as it
lasted. No code deletes a mini-program, and what a leaf commits to names it.

A drop takes a moment under the locks of both tables, and lets others pass until there is one.
"""

import django.db.models.deletion
from django.db import migrations, models
from django.db.backends.base.schema import BaseDatabaseSchemaEditor
from django.db.migrations.state import StateApps

from consent.indexes import beside_all, in_a_moment

_KEY = "leaf_program_id_b3ad45dd_fk_program_id"


def drop(apps: StateApps, schema_editor: BaseDatabaseSchemaEditor) -> None:
    with schema_editor.connection.cursor() as cursor:
        in_a_moment(cursor, f"ALTER TABLE leaf DROP CONSTRAINT IF EXISTS {_KEY}")


def add(apps: StateApps, schema_editor: BaseDatabaseSchemaEditor) -> None:
    with schema_editor.connection.cursor() as cursor:
        in_a_moment(
            cursor,
            f"ALTER TABLE leaf ADD CONSTRAINT {_KEY} FOREIGN KEY (program_id) REFERENCES program (id)"
            " DEFERRABLE INITIALLY DEFERRED NOT VALID",
        )
        beside_all(cursor, f"ALTER TABLE leaf VALIDATE CONSTRAINT {_KEY}")


class Migration(migrations.Migration):
    atomic = False
    dependencies = [("consent", "0094_incident_access")]

    operations = [
        migrations.SeparateDatabaseAndState(
            database_operations=[migrations.RunPython(drop, add)],
            state_operations=[
                migrations.AlterField(
                    "leaf",
                    "program",
                    models.ForeignKey(
                        db_constraint=False,
                        null=True,
                        on_delete=django.db.models.deletion.PROTECT,
                        to="consent.miniprogram",
                    ),
                )
            ],
        )
    ]
