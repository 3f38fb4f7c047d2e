"""Disclosures are added, never changed, and deleted three years later at the earliest; an assessment three years after its
purpose ended. The policies hold whatever the statement says."""

from django.db import migrations

from consent.programs.security import grant, not_deleted_before, tenant_policy

ENDED = (
    "created_at < now() - interval '3 years' AND EXISTS (SELECT FROM purpose WHERE purpose.id = purpose_id"
    " AND NOT purpose.active AND purpose.ended_at < now() - interval '3 years')"
)


class Migration(migrations.Migration):
    dependencies = [("consent", "0044_disclosure")]

    operations = [
        *tenant_policy("disclosure"),
        not_deleted_before("disclosure", "at < now() - interval '3 years'"),
        grant("disclosure", "zq_app", "SELECT, INSERT"),
        grant("disclosure", "zq_erase", "SELECT, DELETE"),
        not_deleted_before("impact_assessment", ENDED),
        grant("impact_assessment", "zq_erase", "SELECT, DELETE"),
        migrations.RunSQL(
            "GRANT SELECT (id, program_id, active, ended_at) ON purpose TO zq_erase",
            "REVOKE SELECT (id, program_id, active, ended_at) ON purpose FROM zq_erase",
        ),
    ]
