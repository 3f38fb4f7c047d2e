"""Event types from before versions were kept: what they say now is their first version that is.

One row an event type, and a catalogue has some dozens. Reversing leaves the rows, which go with their table.
"""

from django.db import migrations

COPY = """
    INSERT INTO event_type_version (program_id, event_type_id, version, declaration, actor, at)
    SELECT t.program_id, t.id, t.version,
           jsonb_build_object('purpose', p.code, 'categories', to_jsonb(t.categories), 'description', t.description,
                              'status', t.status, 'properties', t.properties),
           'migration', t.updated_at
    FROM event_type t JOIN purpose p ON p.id = t.purpose_id
    ON CONFLICT (event_type_id, version) DO NOTHING
"""


class Migration(migrations.Migration):
    dependencies = [("tracking", "0008_event_type_version_access")]

    operations = [migrations.RunSQL(COPY, migrations.RunSQL.noop)]
