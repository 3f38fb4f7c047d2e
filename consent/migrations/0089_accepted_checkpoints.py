"""The newest checkpoint that a place accepted is found without a look at all of them: every proof rests on it."""

from django.db import migrations, models

from consent.indexes import built_beside_writes


class Migration(migrations.Migration):
    atomic = False
    dependencies = [("consent", "0088_account_leaf")]

    operations = [
        built_beside_writes(
            "logpublication",
            models.Index(
                fields=["origin", "size"], name="log_publication_accepted", condition=models.Q(("accepted", True))
            ),
            "ON log_publication (origin, size) WHERE accepted",
        ),
    ]
