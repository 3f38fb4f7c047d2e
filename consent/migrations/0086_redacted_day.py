"""Since when an erased leaf waits to be listed, to the day: one that a day's run has passed over is seen. The default is worked out
once for the rows that there are, which the next run lists."""

from django.db import migrations, models
from django.db.models.functions import Cast, Now


class Migration(migrations.Migration):
    dependencies = [("consent", "0085_portal_fetched")]

    operations = [
        migrations.AddField("redactedleaf", "day", models.DateField(db_default=Cast(Now(), models.DateField()))),
    ]
