"""Since when a message is sent again, from which on it is tried as long as a new one: a column without a default, empty for all so far."""

from django.db import migrations, models

_IN_A_MOMENT = "SET LOCAL lock_timeout = '5s'"


class Migration(migrations.Migration):
    dependencies = [("consent", "0097_journal_given_out")]

    operations = [
        migrations.RunSQL(_IN_A_MOMENT, migrations.RunSQL.noop),
        migrations.AddField("webhookmessage", "queued_at", models.DateTimeField(null=True)),
        migrations.RunSQL(migrations.RunSQL.noop, _IN_A_MOMENT),
    ]
