"""A state keeps the consents that come into force later beside the grant that stands. A constant default: no rewrite."""

from django.contrib.postgres.fields import ArrayField
from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("consent", "0008_review_constraints_hold")]

    operations = [
        migrations.AddField(
            "consentstate", "pending", ArrayField(models.BigIntegerField(), db_default=[], default=list)
        ),
    ]
