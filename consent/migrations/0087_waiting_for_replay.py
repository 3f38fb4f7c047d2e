"""Between a restore and its replay the database says that ids go on, and not yet that it is in service."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("consent", "0086_redacted_day")]

    operations = [
        # Whoever goes back to where it cannot be said has to replay again.
        migrations.RunSQL(migrations.RunSQL.noop, "DELETE FROM service_state WHERE opened_at IS NULL"),
        migrations.AlterField("servicestate", "opened_at", models.DateTimeField(null=True)),
        migrations.AddField("servicestate", "needed_from", models.BigIntegerField(null=True)),
        migrations.AddField("servicestate", "epoch", models.BigIntegerField(null=True)),
    ]
