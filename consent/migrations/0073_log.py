"""The log: which leaf has which place, the hashes of its tree, its checkpoints, and where these were published."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("consent", "0072_risk_run_access")]

    operations = [
        migrations.CreateModel(
            name="WaitingLeaf",
            fields=[("leaf_id", models.BigIntegerField(primary_key=True, serialize=False))],
            options={"db_table": "leaf_waiting"},
        ),
        migrations.CreateModel(
            name="RedactedLeaf",
            fields=[("leaf_id", models.BigIntegerField(primary_key=True, serialize=False))],
            options={"db_table": "leaf_redacted"},
        ),
        migrations.CreateModel(
            name="LogOrigin",
            fields=[
                ("number", models.SmallIntegerField(primary_key=True, serialize=False)),
                ("name", models.TextField(unique=True)),
                ("previous", models.TextField(null=True)),
            ],
            options={"db_table": "log_origin"},
        ),
        migrations.CreateModel(
            name="LogLeaf",
            fields=[
                (
                    "pk",
                    models.CompositePrimaryKey(
                        "origin", "index", blank=True, editable=False, primary_key=True, serialize=False
                    ),
                ),
                ("origin", models.SmallIntegerField()),
                ("index", models.BigIntegerField()),
                ("leaf_id", models.BigIntegerField(null=True, unique=True)),
                ("hash", models.BinaryField(max_length=32)),
            ],
            options={"db_table": "log_leaf"},
        ),
        migrations.CreateModel(
            name="LogNode",
            fields=[
                (
                    "pk",
                    models.CompositePrimaryKey(
                        "origin", "level", "position", blank=True, editable=False, primary_key=True, serialize=False
                    ),
                ),
                ("origin", models.SmallIntegerField()),
                ("level", models.SmallIntegerField()),
                ("position", models.BigIntegerField()),
                ("hash", models.BinaryField(max_length=32)),
            ],
            options={"db_table": "log_node"},
        ),
        migrations.CreateModel(
            name="LogStatement",
            fields=[
                (
                    "pk",
                    models.CompositePrimaryKey(
                        "origin", "index", blank=True, editable=False, primary_key=True, serialize=False
                    ),
                ),
                ("origin", models.SmallIntegerField()),
                ("index", models.BigIntegerField()),
                ("type", models.SmallIntegerField()),
                ("salt", models.BinaryField(max_length=32)),
                ("content", models.JSONField()),
            ],
            options={"db_table": "log_statement"},
        ),
        migrations.CreateModel(
            name="LogCheckpoint",
            fields=[
                (
                    "pk",
                    models.CompositePrimaryKey(
                        "origin", "size", blank=True, editable=False, primary_key=True, serialize=False
                    ),
                ),
                ("origin", models.SmallIntegerField()),
                ("size", models.BigIntegerField()),
                ("root", models.BinaryField(max_length=32)),
                ("at", models.DateTimeField()),
                ("note", models.TextField()),
            ],
            options={"db_table": "log_checkpoint"},
        ),
        migrations.CreateModel(
            name="LogPublication",
            fields=[
                (
                    "pk",
                    models.CompositePrimaryKey(
                        "origin", "sink", "size", blank=True, editable=False, primary_key=True, serialize=False
                    ),
                ),
                ("origin", models.SmallIntegerField()),
                ("sink", models.TextField()),
                ("size", models.BigIntegerField()),
                ("at", models.DateTimeField()),
                ("accepted", models.BooleanField()),
            ],
            options={"db_table": "log_publication"},
        ),
    ]
