"""For which folder a number of the journal was given out: the acts of other machines hid that one's own were lost."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("consent", "0099_redacted_by_eraser")]

    operations = [
        migrations.AddField("givenout", "writer", models.TextField(null=True)),
        migrations.AddIndex("givenout", models.Index(fields=["writer", "number"], name="journal_given_out_of")),
    ]
