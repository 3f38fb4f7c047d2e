"""A page that one subject alone has named knows that subject, and is erased with it."""

from django.db import migrations, models

# Owners see every mini-program's rows; a page that no event names stays without a subject.
FROM_EVENTS = """
UPDATE page SET subject_id = named.subject_id
FROM (
    SELECT page_id, min(subject_id) AS subject_id FROM event WHERE page_id IS NOT NULL
    GROUP BY page_id HAVING min(subject_id) = max(subject_id)
) AS named
WHERE named.page_id = page.id
"""


class Migration(migrations.Migration):
    dependencies = [("tracking", "0003_access")]

    operations = [
        migrations.AddField("page", "subject_id", models.BigIntegerField(null=True)),
        migrations.AddIndex(
            "page",
            models.Index(fields=["subject_id"], name="page_subject", condition=models.Q(("subject_id__isnull", False))),
        ),
        migrations.RunSQL(FROM_EVENTS, migrations.RunSQL.noop),
        migrations.RunSQL(
            "GRANT UPDATE (subject_id) ON page TO zq_app; GRANT SELECT, DELETE ON page TO zq_erase",
            "REVOKE UPDATE (subject_id) ON page FROM zq_app; REVOKE SELECT, DELETE ON page FROM zq_erase",
        ),
    ]
