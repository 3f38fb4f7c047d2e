"""What officers' roles tell apart: who approves an erasure, and who sees how many there are of what, and nobody's."""

from django.db import migrations


class Migration(migrations.Migration):
    dependencies = [("consent", "0054_webhook_access")]

    operations = [
        migrations.AlterModelOptions(
            "subjectrequest",
            {
                "permissions": [
                    ("find_by_phone", "Can find data-subject requests by telephone number"),
                    ("approve_erasure", "Can approve data-subject requests that erase"),
                    ("view_request_statistics", "Can view how many data-subject requests there are"),
                ],
                "verbose_name": "data-subject request",
                "verbose_name_plural": "data-subject requests",
            },
        ),
        migrations.AlterModelOptions(
            "consentrecord",
            {
                "permissions": [("view_consent_statistics", "Can view how many people consent")],
                "verbose_name": "consent record",
                "verbose_name_plural": "consent records",
            },
        ),
    ]
