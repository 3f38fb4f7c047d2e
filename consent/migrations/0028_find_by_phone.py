"""To find requests by telephone number is a permission of its own; who may see requests has not got it by that."""

from django.db import migrations


class Migration(migrations.Migration):
    dependencies = [("consent", "0027_invalidated_before")]

    operations = [
        migrations.AlterModelOptions(
            "subjectrequest",
            {
                "permissions": [("find_by_phone", "Can find data-subject requests by telephone number")],
                "verbose_name": "data-subject request",
                "verbose_name_plural": "data-subject requests",
            },
        ),
    ]
