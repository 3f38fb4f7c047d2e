"""Who may do what with drafts: rows of the current mini-program only."""

from django.db import migrations

from consent.programs.security import grant, tenant_policy


class Migration(migrations.Migration):
    dependencies = [("consent", "0017_notice_draft")]

    operations = [*tenant_policy("notice_draft"), grant("notice_draft", "zq_app", "SELECT, INSERT, UPDATE, DELETE")]
