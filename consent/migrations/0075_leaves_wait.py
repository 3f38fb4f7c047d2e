"""Leaves from before there was a log wait for their places, too."""

from django.db import migrations

WAIT = "INSERT INTO leaf_waiting SELECT id FROM leaf ON CONFLICT DO NOTHING"


class Migration(migrations.Migration):
    dependencies = [("consent", "0074_log_access")]

    operations = [migrations.RunSQL(WAIT, migrations.RunSQL.noop)]
