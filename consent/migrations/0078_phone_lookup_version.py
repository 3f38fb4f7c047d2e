"""A phone's lookup says by which version of the index key it was made: so far there was one."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("consent", "0077_key_versions")]

    operations = [
        migrations.AddField("subjectidentifier", "lookup_version", models.IntegerField(db_default=1)),
    ]
