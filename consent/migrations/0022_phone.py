"""A subject may have a phone, found by its lookup and by nothing else. New rows at once; 0023 reads the old ones."""

from django.contrib.postgres.operations import AddConstraintNotValid
from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("consent", "0021_record_id_index")]

    operations = [
        migrations.RemoveConstraint("subjectidentifier", "subject_identifier_kind"),
        migrations.AlterField(
            "subjectidentifier",
            "kind",
            models.TextField(
                choices=[
                    ("openid", "openid"),
                    ("unionid", "unionid"),
                    ("external_id", "external id"),
                    ("phone", "phone"),
                ]
            ),
        ),
        migrations.AddField("subjectidentifier", "lookup", models.BinaryField(max_length=32, null=True)),
        AddConstraintNotValid(
            model_name="subjectidentifier",
            constraint=models.CheckConstraint(
                condition=models.Q(
                    models.Q(("kind__in", ["openid", "unionid", "external_id"]), ("lookup__isnull", True)),
                    models.Q(("kind", "phone"), ("lookup__isnull", False)),
                    _connector="OR",
                ),
                name="subject_identifier_kind",
            ),
        ),
        # The release before knows no phones: going back to it takes them along.
        migrations.RunSQL(migrations.RunSQL.noop, "DELETE FROM subject_identifier WHERE kind = 'phone'"),
    ]
