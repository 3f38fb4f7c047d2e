"""Only who erases says that a leaf's record was erased: a login of the web that said so of all would have the log list them for good.

Stop the workers before: an older one says so as the application, which it may no longer.
"""

from django.db import migrations

from consent.programs.security import grant


class Migration(migrations.Migration):
    dependencies = [("consent", "0098_webhook_queued_at")]

    operations = [
        grant("leaf_redacted", "zq_erase", "INSERT"),
        migrations.RunSQL(
            "REVOKE INSERT ON leaf_redacted FROM zq_app",
            "GRANT INSERT ON leaf_redacted TO zq_app",
        ),
    ]
