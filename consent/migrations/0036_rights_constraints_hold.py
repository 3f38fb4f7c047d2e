"""Old rows keep the constraints of the migration before too: read beside other calls, in a transaction of their own."""

from django.contrib.postgres.operations import ValidateConstraint
from django.db import migrations


class Migration(migrations.Migration):
    dependencies = [("consent", "0035_rights_columns")]

    operations = [
        ValidateConstraint("subjectrequest", "subject_request_rejection"),
        ValidateConstraint("subjectrequest", "subject_request_unmet"),
    ]
