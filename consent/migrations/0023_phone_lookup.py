"""The index by which a phone is found, made beside whatever goes on."""

from django.contrib.postgres.operations import AddIndexConcurrently
from django.db import migrations, models


class Migration(migrations.Migration):
    atomic = False
    dependencies = [("consent", "0022_phone")]

    operations = [
        AddIndexConcurrently(
            "subjectidentifier",
            models.Index(
                condition=models.Q(("lookup__isnull", False)), fields=["lookup"], name="subject_identifier_lookup"
            ),
        ),
    ]
