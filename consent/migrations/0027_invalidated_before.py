"""What was invalidated before that owed an erasure owes one now: reads the records once, beside whatever goes on."""

from django.db import migrations

# Of a subject's ends of a purpose the newest takes along what all earlier ones left; what is owed or done for a later one
# is enough.
OWED = """
INSERT INTO purpose_erasure
    (subject_id, purpose_id, version, program_id, asked_at, owed_from, not_before, attempts, affected)
SELECT ended.subject_id, ended.purpose_id, ended.version, ended.program_id, ended.received_at, now(), now(), 0, 0
FROM (
    SELECT DISTINCT ON (subject_id, purpose_id) subject_id, purpose_id, version, program_id, received_at
    FROM consent_record WHERE state = 'invalidated'
    ORDER BY subject_id, purpose_id, version DESC
) AS ended
WHERE EXISTS (
    SELECT FROM consent_record given
    WHERE given.subject_id = ended.subject_id AND given.purpose_id = ended.purpose_id
      AND given.version < ended.version AND given.authorises_from IS NOT NULL
)
AND NOT EXISTS (
    SELECT FROM purpose_erasure later
    WHERE later.subject_id = ended.subject_id AND later.purpose_id = ended.purpose_id
      AND later.version > ended.version AND later.kept_days IS NULL
)
ON CONFLICT DO NOTHING
"""


class Migration(migrations.Migration):
    dependencies = [("consent", "0026_answered_state_holds")]

    operations = [migrations.RunSQL(OWED, migrations.RunSQL.noop)]
