"""When a day that is not built was last tried: one that keeps failing does not stand in the way of the others."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("reports", "0005_frozen_line_access")]

    operations = [
        migrations.AddField(model_name="rollupday", name="tried_at", field=models.DateTimeField(null=True)),
    ]
