"""Where packed events came from and what they ran on. Days are packed anew for it, one after another (reports.columns.packed.LAYOUT)."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("reports", "0014_view_quality")]

    operations = [
        migrations.AddField("rollupevents", "contexts", models.BinaryField(null=True)),
        # What is packed with contexts says nothing without them, and would not if the column came back.
        migrations.RunSQL(migrations.RunSQL.noop, "UPDATE rollup_day SET layout = 0 WHERE layout > 1"),
    ]
