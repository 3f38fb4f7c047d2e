"""Old rows keep the constraint on kinds too: read beside other calls, in a transaction of its own."""

from django.contrib.postgres.operations import ValidateConstraint
from django.db import migrations


class Migration(migrations.Migration):
    dependencies = [("consent", "0023_phone_lookup")]

    operations = [ValidateConstraint("subjectidentifier", "subject_identifier_kind")]
