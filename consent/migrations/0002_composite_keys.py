"""Owned tables are keyed by subject, so that the same schema shards by subject on Citus."""

from django.db import migrations

from consent.programs.security import composite_key


class Migration(migrations.Migration):
    dependencies = [("consent", "0001_initial")]

    operations = [composite_key("consent_record"), composite_key("package")]
