"""Old records keep the constraint on answered states too: read beside other calls, in a transaction of its own."""

from django.contrib.postgres.operations import ValidateConstraint
from django.db import migrations


class Migration(migrations.Migration):
    dependencies = [("consent", "0025_answered_state")]

    operations = [ValidateConstraint("consentrecord", "consent_record_answered")]
