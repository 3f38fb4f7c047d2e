"""Row-level security and grants of the ingest counters. Only the worker forgets them, once they are old."""

from django.db import migrations

from consent.programs.security import grant, tenant_policy


class Migration(migrations.Migration):
    dependencies = [("tracking", "0005_ingest_count")]

    operations = [
        *tenant_policy("ingest_count"),
        grant("ingest_count", "zq_app", "SELECT, INSERT, UPDATE (events, day_subjects)"),
        grant("ingest_count", "zq_erase", "SELECT, DELETE"),
    ]
