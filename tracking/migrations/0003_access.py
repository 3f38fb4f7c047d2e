"""Row-level security and grants of the events and their catalogue. Nothing is granted on partitions: a parent's
policies do not hold there."""

from django.db import migrations

from consent.programs.security import grant, tenant_policy

APPLICATION = {
    "event_type": "SELECT, INSERT, UPDATE",
    "page": "SELECT, INSERT",
    "event": "SELECT, INSERT",
    "subject_day": "SELECT, INSERT",
}
COPIED = (
    "subject_id, consent_record_id, type_id, page_id, occurred_at, corrected_at, received_at, day, dwell_ms, event_id,"
    " session_id, scene, context, properties"
)


class Migration(migrations.Migration):
    dependencies = [("tracking", "0002_event"), ("consent", "0004_grants")]

    operations = (
        [operation for table in APPLICATION for operation in tenant_policy(table)]
        + [grant(table, "zq_app", privileges) for table, privileges in APPLICATION.items()]
        + [
            # Every column but program_id, whose default is the tenant setting: the writer cannot name another tenant.
            grant("event", "zq_ingest", f"INSERT ({COPIED})"),
            grant("event", "zq_erase", "SELECT, DELETE"),
            grant("subject_day", "zq_erase", "SELECT, DELETE"),
            migrations.RunSQL(
                "REVOKE ALL ON FUNCTION ensure_event_days(date[]) FROM PUBLIC;"
                "GRANT EXECUTE ON FUNCTION ensure_event_days(date[]) TO zq_app",
                "REVOKE ALL ON FUNCTION ensure_event_days(date[]) FROM zq_app",
            ),
        ]
    )
