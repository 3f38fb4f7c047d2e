"""Row-level security and grants of the event types' versions, which are appended and never changed."""

from django.db import migrations

from consent.programs.security import grant, tenant_policy


class Migration(migrations.Migration):
    dependencies = [("tracking", "0007_event_type_version")]

    operations = [*tenant_policy("event_type_version"), grant("event_type_version", "zq_app", "SELECT, INSERT")]
