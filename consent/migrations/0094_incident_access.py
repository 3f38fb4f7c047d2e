"""The pseudonyms of those whom an incident affects are taken along, minors among them, with another officer's approval (MOR 36).

The application takes the same steps, and no others, as with one minor's data (migration 0067).
"""

import datetime
import uuid

import django.db.models.deletion
from django.db import migrations, models
from django.db.models import F, Q

from consent.programs.security import grant, tenant_policy

ASKED = """
CREATE POLICY asked ON incident_access AS RESTRICTIVE FOR INSERT TO zq_app WITH CHECK (
    approved_by IS NULL AND approved_at IS NULL AND used_at IS NULL
    AND asked_at BETWEEN clock_timestamp() - interval '1 minute' AND clock_timestamp()
)
"""
STEP = """
CREATE TRIGGER incident_access_step BEFORE UPDATE ON incident_access FOR EACH ROW EXECUTE FUNCTION minor_access_step()
"""
# Entries are written by hand: there are few, and the index is built in a moment.
TIED = """
SET LOCAL lock_timeout = '5s';
CREATE UNIQUE INDEX incident_entry_of_program ON incident_entry (program_id, id);
ALTER TABLE incident_access ADD CONSTRAINT incident_access_entry_id_of_program FOREIGN KEY (program_id, entry_id)
    REFERENCES incident_entry (program_id, id) DEFERRABLE INITIALLY DEFERRED
"""
UNTIED = """
ALTER TABLE incident_access DROP CONSTRAINT incident_access_entry_id_of_program;
DROP INDEX incident_entry_of_program
"""


class Migration(migrations.Migration):
    dependencies = [("consent", "0093_decided_day")]

    operations = [
        migrations.CreateModel(
            name="IncidentAccess",
            fields=[
                ("id", models.UUIDField(default=uuid.uuid4, primary_key=True, serialize=False)),
                ("asked_by", models.TextField(verbose_name="asked by")),
                ("asked_at", models.DateTimeField(verbose_name="asked at")),
                ("approved_by", models.TextField(null=True, verbose_name="approved by")),
                ("approved_at", models.DateTimeField(null=True, verbose_name="approved at")),
                ("used_at", models.DateTimeField(null=True, verbose_name="used at")),
                (
                    "program",
                    models.ForeignKey(
                        db_index=False, on_delete=django.db.models.deletion.PROTECT, to="consent.miniprogram"
                    ),
                ),
                (
                    "entry",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="accesses",
                        to="consent.incidententry",
                    ),
                ),
            ],
            options={
                "db_table": "incident_access",
                "constraints": [
                    models.CheckConstraint(
                        condition=~Q(approved_by=F("asked_by")), name="incident_access_two_officers"
                    ),
                    models.CheckConstraint(
                        condition=Q(approved_by__isnull=True, approved_at__isnull=True)
                        | Q(approved_by__isnull=False, approved_at__isnull=False, approved_at__gte=F("asked_at")),
                        name="incident_access_approved",
                    ),
                    models.CheckConstraint(
                        condition=Q(used_at__isnull=True)
                        | Q(
                            approved_at__isnull=False,
                            used_at__gte=F("approved_at"),
                            used_at__lt=F("approved_at") + datetime.timedelta(hours=1),
                        ),
                        name="incident_access_used",
                    ),
                ],
            },
        ),
        *tenant_policy("incident_access"),
        grant("incident_access", "zq_app", "SELECT, INSERT, UPDATE (approved_by, approved_at, used_at)"),
        migrations.RunSQL(ASKED, "DROP POLICY asked ON incident_access"),
        migrations.RunSQL(STEP, "DROP TRIGGER incident_access_step ON incident_access"),
        migrations.RunSQL(TIED, UNTIED),
    ]
