"""Audit entries have a leaf in the log, and the salt that opens it."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("consent", "0075_leaves_wait")]

    operations = [
        migrations.AddField("auditentry", "leaf_id", models.BigIntegerField(null=True, verbose_name="leaf")),
        migrations.AddField("auditentry", "salt", models.BinaryField(max_length=32, null=True, verbose_name="salt")),
        # An entry has its number before it is written: its leaf commits to it.
        migrations.RunSQL(
            "GRANT USAGE ON SEQUENCE audit_entry_id_seq TO zq_app",
            "REVOKE ALL ON SEQUENCE audit_entry_id_seq FROM zq_app",
        ),
    ]
