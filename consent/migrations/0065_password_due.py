"""Who was given a password by somebody else chooses another: a column with a constant default, which rewrites no row."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("consent", "0064_audit_search")]

    operations = [
        migrations.AddField(
            "staffaccount",
            "password_due",
            models.BooleanField(db_default=False, default=False, verbose_name="has to choose a password"),
        )
    ]
