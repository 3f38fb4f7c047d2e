"""Leaves no longer name their mini-program by a foreign key, as events do not: to check it every act locked one row for as long as it
lasted. No code deletes a mini-program, and what a leaf commits to names it.

A drop takes a moment under the locks of both tables. Reversing checks every row, and holds writers up meanwhile.
"""

import django.db.models.deletion
from django.db import migrations, models

_IN_A_MOMENT = "SET LOCAL lock_timeout = '5s'"


class Migration(migrations.Migration):
    dependencies = [("consent", "0094_incident_access")]

    operations = [
        migrations.RunSQL(_IN_A_MOMENT, migrations.RunSQL.noop),
        migrations.AlterField(
            "leaf",
            "program",
            models.ForeignKey(
                db_constraint=False,
                null=True,
                on_delete=django.db.models.deletion.PROTECT,
                to="consent.miniprogram",
            ),
        ),
        migrations.RunSQL(migrations.RunSQL.noop, _IN_A_MOMENT),
    ]
