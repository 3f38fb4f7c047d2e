"""What was withdrawn before erasures were owed is owed now: reads the records once, beside whatever goes on."""

from django.db import migrations

# Of a subject's ends of a purpose the newest takes along what all earlier ones left.
OWED = """
INSERT INTO purpose_erasure
    (subject_id, purpose_id, version, program_id, asked_at, owed_from, not_before, attempts, affected)
SELECT ended.subject_id, ended.purpose_id, ended.version, ended.program_id, ended.received_at, now(), now(), 0, 0
FROM (
    SELECT DISTINCT ON (subject_id, purpose_id) subject_id, purpose_id, version, program_id, received_at
    FROM consent_record WHERE state IN ('refused', 'withdrawn')
    ORDER BY subject_id, purpose_id, version DESC
) AS ended
WHERE EXISTS (
    SELECT FROM consent_record given
    WHERE given.subject_id = ended.subject_id AND given.purpose_id = ended.purpose_id
      AND given.version < ended.version AND given.authorises_from IS NOT NULL
)
ON CONFLICT DO NOTHING
"""


class Migration(migrations.Migration):
    dependencies = [("consent", "0011_purpose_erasure_access")]

    operations = [migrations.RunSQL(OWED, migrations.RunSQL.noop)]
