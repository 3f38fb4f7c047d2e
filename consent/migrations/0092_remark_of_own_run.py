"""A remark is of a look at its own mini-program."""

from django.db import migrations

from consent.indexes import tied_within_program


class Migration(migrations.Migration):
    atomic = False
    dependencies = [("consent", "0091_officer_counted_or_refused")]

    operations = [tied_within_program("risk_remark", "run_id", "risk_run")]
