"""Assessments are added and never changed or deleted; of a purpose nothing changes that is fixed for its life."""

from django.db import migrations

from consent.programs.security import grant, tenant_policy


class Migration(migrations.Migration):
    dependencies = [("consent", "0015_impact_assessment")]

    operations = [
        *tenant_policy("impact_assessment"),
        grant("impact_assessment", "zq_app", "SELECT, INSERT"),
        migrations.RunSQL(
            "REVOKE UPDATE ON purpose FROM zq_app; GRANT UPDATE (title, active, ended_at) ON purpose TO zq_app",
            "REVOKE UPDATE (title, active, ended_at) ON purpose FROM zq_app; GRANT UPDATE ON purpose TO zq_app",
        ),
    ]
