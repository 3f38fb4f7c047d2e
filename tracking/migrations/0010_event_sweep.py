"""How far each mini-program's events have been purged."""

import django.db.models.deletion
from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("consent", "0012_withdrawn_before"),
        ("tracking", "0009_current_versions"),
    ]

    operations = [
        migrations.CreateModel(
            name="EventSweep",
            fields=[
                (
                    "program",
                    models.OneToOneField(
                        on_delete=django.db.models.deletion.PROTECT,
                        primary_key=True,
                        serialize=False,
                        to="consent.miniprogram",
                    ),
                ),
                ("swept_to", models.DateTimeField()),
            ],
            options={"db_table": "event_sweep"},
        ),
    ]
