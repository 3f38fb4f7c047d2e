"""Finding a person and seeing who they are have permissions of their own; what is a minor's is seen with another officer's approval.
The permission to find requests by telephone number is gone with the page."""

import datetime
import uuid
from typing import Any

import django.db.models.deletion
from django.db import migrations, models
from django.db.models import F, Q

from consent.programs.security import composite_key, grant, tenant_policy


def forget(apps: Any, schema_editor: Any) -> None:
    apps.get_model("auth", "Permission").objects.filter(
        codename="find_by_phone", content_type__app_label="consent"
    ).delete()


class Migration(migrations.Migration):
    dependencies = [("consent", "0058_second_factor"), ("auth", "0012_alter_user_first_name_max_length")]

    operations = [
        migrations.CreateModel(
            name="MinorAccess",
            fields=[
                ("id", models.UUIDField(default=uuid.uuid4, primary_key=True, serialize=False)),
                (
                    "subject",
                    models.ForeignKey(
                        db_column="subject_id",
                        db_index=False,
                        on_delete=django.db.models.deletion.DO_NOTHING,
                        to="consent.subject",
                    ),
                ),
                (
                    "program",
                    models.ForeignKey(
                        db_index=False, on_delete=django.db.models.deletion.PROTECT, to="consent.miniprogram"
                    ),
                ),
                (
                    "what",
                    models.TextField(
                        choices=[
                            ("values", "identifiers and profile"),
                            ("package", "package"),
                            ("rectified", "what was put right"),
                        ],
                        verbose_name="what is to be seen",
                    ),
                ),
                ("reason", models.TextField(verbose_name="reason")),
                ("request_id", models.UUIDField(null=True, verbose_name="request")),
                ("asked_by", models.TextField(verbose_name="asked by")),
                ("asked_at", models.DateTimeField(verbose_name="asked at")),
                ("approved_by", models.TextField(null=True, verbose_name="approved by")),
                ("approved_at", models.DateTimeField(null=True, verbose_name="approved at")),
                ("used_at", models.DateTimeField(null=True, verbose_name="used at")),
            ],
            options={
                "verbose_name": "access to a minor's data",
                "verbose_name_plural": "access to minors' data",
                "db_table": "minor_access",
                "indexes": [
                    models.Index(fields=["subject", "asked_by"], name="minor_access_subject"),
                    models.Index(fields=["program", "asked_at"], name="minor_access_asked"),
                ],
                "constraints": [
                    models.CheckConstraint(
                        condition=Q(what__in=["values", "package", "rectified"]), name="minor_access_what"
                    ),
                    models.CheckConstraint(condition=~Q(approved_by=F("asked_by")), name="minor_access_two_officers"),
                    models.CheckConstraint(
                        condition=Q(approved_by__isnull=True, approved_at__isnull=True)
                        | Q(approved_by__isnull=False, approved_at__isnull=False, approved_at__gte=F("asked_at")),
                        name="minor_access_approved",
                    ),
                    models.CheckConstraint(
                        condition=Q(used_at__isnull=True)
                        | Q(
                            approved_at__isnull=False,
                            used_at__gte=F("approved_at"),
                            used_at__lt=F("approved_at") + datetime.timedelta(hours=1),
                        ),
                        name="minor_access_used",
                    ),
                ],
            },
        ),
        composite_key("minor_access"),
        *tenant_policy("minor_access"),
        grant("minor_access", "zq_app", "SELECT, INSERT, UPDATE (approved_by, approved_at, used_at)"),
        grant("minor_access", "zq_erase", "SELECT, DELETE"),
        migrations.AlterModelOptions(
            "subject",
            {
                "permissions": [
                    ("find_subject", "Can find a data subject, and see what is held of them but no value"),
                    ("reveal_subject", "Can see the identifiers and the profile of a data subject"),
                ],
                "verbose_name": "data subject",
                "verbose_name_plural": "data subjects",
            },
        ),
        migrations.AlterModelOptions(
            "subjectrequest",
            {
                "permissions": [
                    ("approve_erasure", "Can approve data-subject requests that erase"),
                    ("view_request_statistics", "Can view how many data-subject requests there are"),
                ],
                "verbose_name": "data-subject request",
                "verbose_name_plural": "data-subject requests",
            },
        ),
        migrations.RunPython(forget, migrations.RunPython.noop),
    ]
