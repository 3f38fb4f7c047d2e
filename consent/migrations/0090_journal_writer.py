"""Who writes the journal: known before an entry of theirs is, so that a replay misses none."""

import django.db.models.functions.datetime
from django.db import migrations, models

from consent.programs.security import grant


class Migration(migrations.Migration):
    dependencies = [("consent", "0089_accepted_checkpoints")]

    operations = [
        migrations.CreateModel(
            name="JournalWriter",
            fields=[
                ("id", models.TextField(primary_key=True, serialize=False)),
                ("number", models.BigIntegerField()),
                ("at", models.DateTimeField(db_default=django.db.models.functions.datetime.Now())),
            ],
            options={"db_table": "journal_writer"},
        ),
        grant("journal_writer", "zq_app", "SELECT, INSERT, UPDATE (at)"),
        grant("journal_writer", "zq_erase", "SELECT, INSERT, UPDATE (at), DELETE"),
    ]
