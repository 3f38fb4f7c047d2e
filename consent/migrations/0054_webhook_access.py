"""Who may do what with webhooks: rows of the current mini-program only. Whoever removes an endpoint removes its messages."""

from django.db import migrations

from consent.programs.security import composite_key, grant, ops_policy, tenant_policy


class Migration(migrations.Migration):
    dependencies = [("consent", "0053_webhook")]

    operations = [
        composite_key("webhook_message"),
        *tenant_policy("webhook_endpoint"),
        *tenant_policy("webhook_message"),
        ops_policy("webhook_endpoint"),
        ops_policy("webhook_message"),
        grant("webhook_endpoint", "zq_app", "SELECT, INSERT, UPDATE, DELETE"),
        grant("webhook_message", "zq_app", "SELECT, INSERT, UPDATE, DELETE"),
        grant("webhook_message", "zq_erase", "SELECT, DELETE"),
        grant("webhook_endpoint", "zq_ops", "SELECT (id, program_id, active, not_before)"),
        grant(
            "webhook_message",
            "zq_ops",
            "SELECT (endpoint_id, next_attempt_at, lease_until, delivered_at, dead_at)",
        ),
    ]
