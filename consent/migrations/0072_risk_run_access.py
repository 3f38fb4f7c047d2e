"""What was found and said of risks is added by the application, for the current mini-program, and never changed or deleted."""

from django.db import migrations

from consent.programs.security import grant, tenant_policy

TABLES = ("risk_run", "risk_remark")


class Migration(migrations.Migration):
    dependencies = [("consent", "0071_risk_run")]

    operations = [
        *(operation for table in TABLES for operation in tenant_policy(table)),
        *(grant(table, "zq_app", "SELECT, INSERT") for table in TABLES),
    ]
