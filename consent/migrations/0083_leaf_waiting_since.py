"""A leaf that waits says since when, for as long as it waits."""

import django.db.models.functions.datetime
from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("consent", "0082_begin_epoch")]

    operations = [
        # The default is the same for all rows that there are: none is rewritten.
        migrations.AddField(
            "waitingleaf", "since", models.DateTimeField(db_default=django.db.models.functions.datetime.Now())
        ),
    ]
