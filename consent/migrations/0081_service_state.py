"""That the database is in service, and the numbers of the journal's entries. What is migrated here was not just restored."""

from django.db import migrations, models

from consent.programs.security import grant


class Migration(migrations.Migration):
    dependencies = [("consent", "0080_data_key_rewrap")]

    operations = [
        migrations.CreateModel(
            name="ServiceState",
            fields=[
                ("id", models.SmallIntegerField(default=1, primary_key=True, serialize=False)),
                ("opened_at", models.DateTimeField()),
                ("marked_at", models.DateTimeField(null=True)),
            ],
            options={
                "db_table": "service_state",
                "constraints": [models.CheckConstraint(condition=models.Q(("id", 1)), name="service_state_one")],
            },
        ),
        migrations.RunSQL(
            "INSERT INTO service_state (id, opened_at) VALUES (1, clock_timestamp())", migrations.RunSQL.noop
        ),
        migrations.RunSQL("CREATE SEQUENCE journal_number", "DROP SEQUENCE journal_number"),
        grant("service_state", "zq_app", "SELECT, UPDATE (marked_at)"),
        grant("service_state", "zq_erase", "SELECT, INSERT, DELETE"),
        grant("SEQUENCE journal_number", "zq_app", "SELECT, USAGE"),
        grant("SEQUENCE journal_number", "zq_erase", "SELECT, USAGE"),
    ]
