"""Tenants are apart in the database too (I8)."""

from django.db import migrations

from consent.programs.security import ops_policy, tenant_policy

TABLES = (
    "api_client",
    "api_key",
    "audit_entry",
    "consent_record",
    "consent_state",
    "data_key",
    "holder_run",
    "idempotency_record",
    "leaf",
    "notice",
    "notice_purpose",
    "package",
    "package_part",
    "profile_attribute",
    "purpose",
    "request_subject",
    "subject",
    "subject_identifier",
    "subject_lookup",
    "subject_request",
    "withdrawal_intent",
)
FOUND_WITHOUT_TENANT = ("api_client", "api_key", "holder_run", "notice", "package", "subject_request")


class Migration(migrations.Migration):
    dependencies = [("consent", "0002_composite_keys")]

    operations = [operation for table in TABLES for operation in tenant_policy(table)] + [
        ops_policy(table) for table in FOUND_WITHOUT_TENANT
    ]
