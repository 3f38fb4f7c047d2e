"""That no erasure waits for an endpoint that was switched off is kept beside what it is: a column with a constant default.

Those that were switched off before have lost that they hold personal data: nobody can tell which, so an operator sets them up anew.
"""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("consent", "0069_times_of_officer")]

    operations = [
        migrations.AddField(
            "webhookendpoint", "released", models.BooleanField(db_default=False, default=False, verbose_name="released")
        ),
    ]
