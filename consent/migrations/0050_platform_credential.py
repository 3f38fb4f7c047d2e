"""Credentials of mini-programs at their platforms."""

import django.db.models.deletion
from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("consent", "0049_portal_session")]

    operations = [
        migrations.CreateModel(
            name="PlatformCredential",
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
                ("sealed", models.BinaryField()),
            ],
            options={"db_table": "platform_credential"},
        ),
    ]
