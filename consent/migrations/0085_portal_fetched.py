"""What a session of the data subject's pages has fetched: a download is logged by its session. It goes with the session.

A constant default rewrites no row.
"""

from django.contrib.postgres.fields import ArrayField
from django.db import migrations, models

_IN_A_MOMENT = "SET LOCAL lock_timeout = '5s'"


class Migration(migrations.Migration):
    dependencies = [("consent", "0084_handler_named")]

    operations = [
        migrations.RunSQL(_IN_A_MOMENT, migrations.RunSQL.noop),
        migrations.AddField(
            "portalsession",
            "fetched",
            ArrayField(models.TextField(), db_default=[], default=list),
        ),
        # The column takes its grant along; `grant` in reverse would take all of the table's.
        migrations.RunSQL("GRANT UPDATE (fetched) ON portal_session TO zq_app", migrations.RunSQL.noop),
        migrations.RunSQL(migrations.RunSQL.noop, _IN_A_MOMENT),
    ]
