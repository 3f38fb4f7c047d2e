"""To see how many events were refused, and why, is a permission of its own: who answers for the processing sees that report alone."""

from django.db import migrations


class Migration(migrations.Migration):
    dependencies = [("reports", "0013_keep_report")]

    operations = [
        migrations.AlterModelOptions(
            "report",
            {
                "default_permissions": ("view",),
                "managed": False,
                "permissions": [
                    ("keep_report", "Can save reports and have them made in the background"),
                    ("view_quality", "Can view how many events were refused, and why"),
                ],
                "verbose_name": "report",
                "verbose_name_plural": "reports",
            },
        ),
    ]
