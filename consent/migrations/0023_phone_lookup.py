"""The index by which a phone is found."""

from django.db import migrations, models

from consent.indexes import built_beside_writes


class Migration(migrations.Migration):
    atomic = False
    dependencies = [("consent", "0022_phone")]

    operations = [
        built_beside_writes(
            "subjectidentifier",
            models.Index(
                condition=models.Q(("lookup__isnull", False)), fields=["lookup"], name="subject_identifier_lookup"
            ),
            "ON subject_identifier (lookup) WHERE lookup IS NOT NULL",
        ),
    ]
