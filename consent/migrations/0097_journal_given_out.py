"""The numbers of the journal's entries as rows, since a sequence counts too far after a recovery from the write-ahead log.

Stop all processes before: an older one gives numbers out without a row, by which newer ones take the database for restored.
"""

from django.db import migrations, models

from consent.programs.security import grant

_SO_FAR = """
    INSERT INTO journal_given_out (number) SELECT CASE WHEN is_called THEN last_value ELSE 0 END FROM journal_number
"""


class Migration(migrations.Migration):
    dependencies = [("consent", "0096_leaf_of_program")]

    operations = [
        migrations.CreateModel(
            name="GivenOut",
            fields=[("number", models.BigIntegerField(primary_key=True, serialize=False))],
            options={"db_table": "journal_given_out"},
        ),
        migrations.RunSQL(_SO_FAR, migrations.RunSQL.noop),
        grant("journal_given_out", "zq_app", "SELECT, INSERT"),
        grant("journal_given_out", "zq_erase", "SELECT, INSERT, DELETE"),
    ]
