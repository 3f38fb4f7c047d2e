"""Active days no longer name their mini-program by a foreign key, as events do not: its check was a statement a mark.

A drop takes a moment under the table's lock. Reversing checks every row, and holds writers up meanwhile.
"""

import django.db.models.deletion
from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("consent", "0047_subject_set_aside"),
        ("tracking", "0013_day_change_access"),
    ]

    operations = [
        migrations.AlterField(
            model_name="subjectday",
            name="program",
            field=models.ForeignKey(
                db_constraint=False,
                db_index=False,
                on_delete=django.db.models.deletion.PROTECT,
                to="consent.miniprogram",
            ),
        ),
    ]
