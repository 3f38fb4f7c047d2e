"""Who may do what with the review rules: rows of the current mini-program only."""

from django.db import migrations

from consent.programs.security import grant, tenant_policy


class Migration(migrations.Migration):
    dependencies = [("consent", "0005_request_review")]

    operations = [*tenant_policy("review_rule"), grant("review_rule", "zq_app", "SELECT, INSERT, DELETE")]
