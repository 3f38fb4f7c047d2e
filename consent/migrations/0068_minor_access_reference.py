"""An approval to see a minor's data is for what the reason refers to. A column with a constant default, which rewrites no row."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("consent", "0067_minor_access_steps")]

    operations = [
        migrations.AddField(
            "minoraccess", "reference", models.TextField(db_default="", default="", verbose_name="reference")
        ),
    ]
