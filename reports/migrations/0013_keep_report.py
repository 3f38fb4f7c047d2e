"""To save a report and to have one made in the background is a permission of its own: who reads reports has not got it by that."""

from django.db import migrations


class Migration(migrations.Migration):
    dependencies = [("reports", "0012_rollup_events_access")]

    operations = [
        migrations.AlterModelOptions(
            "report",
            {
                "default_permissions": ("view",),
                "managed": False,
                "permissions": [("keep_report", "Can save reports and have them made in the background")],
                "verbose_name": "report",
                "verbose_name_plural": "reports",
            },
        ),
    ]
