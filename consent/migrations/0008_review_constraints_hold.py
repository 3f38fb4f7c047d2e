"""Old rows keep the constraints too: read beside open requests, in a transaction of its own."""

from django.contrib.postgres.operations import ValidateConstraint
from django.db import migrations


class Migration(migrations.Migration):
    dependencies = [("consent", "0007_review_constraints")]

    operations = [
        ValidateConstraint("subjectrequest", "subject_request_rejection"),
        ValidateConstraint("subjectrequest", "subject_request_extension"),
    ]
