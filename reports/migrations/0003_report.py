"""A permission to see reports; the model has no table."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("reports", "0002_rollups_access")]

    operations = [
        migrations.CreateModel(
            name="Report",
            fields=[("name", models.TextField(primary_key=True, serialize=False))],
            options={
                "verbose_name": "report",
                "verbose_name_plural": "reports",
                "managed": False,
                "default_permissions": ("view",),
            },
        ),
    ]
