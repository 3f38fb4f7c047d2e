"""Who may do what with each table. What is not listed is closed."""

from django.db import migrations

from consent.programs.security import grant

APPLICATION = {
    "controller": "SELECT, INSERT, UPDATE",
    "program": "SELECT, INSERT, UPDATE",
    "api_client": "SELECT, INSERT, UPDATE",
    "api_key": "SELECT, INSERT, UPDATE",
    "officer_assignment": "SELECT, INSERT, UPDATE, DELETE",
    "idempotency_record": "SELECT, INSERT, DELETE",
    "purpose": "SELECT, INSERT, UPDATE",
    "notice": "SELECT, INSERT",
    "notice_purpose": "SELECT, INSERT",
    "subject": "SELECT, INSERT, UPDATE",
    "subject_lookup": "SELECT, INSERT, DELETE",
    "subject_identifier": "SELECT, INSERT, UPDATE, DELETE",
    "data_key": "SELECT, INSERT",
    "leaf": "SELECT, INSERT",
    "audit_entry": "SELECT, INSERT",
    "consent_record": "SELECT, INSERT",
    "consent_state": "SELECT, INSERT, UPDATE",
    "withdrawal_intent": "SELECT, INSERT, DELETE",
    "profile_attribute": "SELECT, INSERT, UPDATE, DELETE",
    "subject_request": "SELECT, INSERT, UPDATE",
    "request_subject": "SELECT, INSERT, UPDATE",
    "holder_run": "SELECT, INSERT, UPDATE",
    "package": "SELECT, INSERT, UPDATE",
    "package_part": "SELECT, INSERT",
    # Django's own
    "auth_user": "SELECT, INSERT, UPDATE, DELETE",
    "auth_group": "SELECT, INSERT, UPDATE, DELETE",
    "auth_permission": "SELECT, INSERT, UPDATE, DELETE",
    "auth_group_permissions": "SELECT, INSERT, UPDATE, DELETE",
    "auth_user_groups": "SELECT, INSERT, UPDATE, DELETE",
    "auth_user_user_permissions": "SELECT, INSERT, UPDATE, DELETE",
    "django_admin_log": "SELECT, INSERT, UPDATE, DELETE",
    "django_content_type": "SELECT, INSERT, UPDATE, DELETE",
    "django_session": "SELECT, INSERT, UPDATE, DELETE",
    "django_migrations": "SELECT",
}
ERASURE = (
    "consent_record",
    "consent_state",
    "data_key",
    "package",
    "package_part",
    "profile_attribute",
    "request_subject",
    "subject",
    "subject_identifier",
    "subject_lookup",
    "withdrawal_intent",
)
OPERATIONS = {
    "api_client": "SELECT",
    "api_key": "SELECT",
    "controller": "SELECT",
    "holder_run": "SELECT",
    "notice": "SELECT",
    "package": "SELECT (id, program_id, expires_at)",
    "program": "SELECT",
    "subject_request": "SELECT (id, program_id, kind, state, received_at, due_at, undo_until, closed_at)",
}


class Migration(migrations.Migration):
    dependencies = [
        ("consent", "0003_row_level_security"),
        ("admin", "0003_logentry_add_action_flag_choices"),
        ("auth", "0012_alter_user_first_name_max_length"),
        ("contenttypes", "0002_remove_content_type_name"),
        ("sessions", "0001_initial"),
    ]

    operations = (
        [grant(table, "zq_app", privileges) for table, privileges in APPLICATION.items()]
        + [grant(table, "zq_erase", "SELECT, DELETE") for table in ERASURE]
        + [grant(table, "zq_ops", privileges) for table, privileges in OPERATIONS.items()]
    )
