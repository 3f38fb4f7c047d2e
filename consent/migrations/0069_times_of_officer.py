"""How often an officer looked for or at people is counted in all mini-programs together: by a function of the owner's, which tells
when and nothing else, since row-level security shows the application one mini-program at a time."""

from django.db import migrations, models

from consent.indexes import built_beside_writes

_COUNTED = "action IN ('person.looked_up', 'person.revealed')"
_OLD = "audit_entry_person_looked_up"
TIMES = f"""
CREATE OR REPLACE FUNCTION times_of_officer(officer text, deed text, since timestamptz) RETURNS SETOF timestamptz
LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp AS $$
BEGIN
    RETURN QUERY
        SELECT e.at FROM public.audit_entry e
        WHERE {_COUNTED} AND e.action = deed AND e.actor = officer AND e.at > since ORDER BY e.at;
END
$$
"""
_SIGNATURE = "times_of_officer(text, text, timestamptz)"


class Migration(migrations.Migration):
    atomic = False
    dependencies = [("consent", "0068_restored_purposes")]

    operations = [
        built_beside_writes(
            "auditentry",
            models.Index(
                fields=["actor", "at"],
                name="audit_entry_of_officer",
                condition=models.Q(action__in=["person.looked_up", "person.revealed"]),
            ),
            f"ON audit_entry (actor, at) WHERE {_COUNTED}",
        ),
        migrations.RunSQL(TIMES, f"DROP FUNCTION IF EXISTS {_SIGNATURE}"),
        migrations.RunSQL(
            f"REVOKE ALL ON FUNCTION {_SIGNATURE} FROM PUBLIC; GRANT EXECUTE ON FUNCTION {_SIGNATURE} TO zq_app",
            f"REVOKE ALL ON FUNCTION {_SIGNATURE} FROM zq_app",
        ),
        migrations.SeparateDatabaseAndState(
            database_operations=[
                migrations.RunSQL(
                    f"DROP INDEX CONCURRENTLY IF EXISTS {_OLD}",
                    f"CREATE INDEX CONCURRENTLY IF NOT EXISTS {_OLD} ON audit_entry (program_id, actor, at)"
                    " WHERE action = 'person.looked_up'",
                )
            ],
            state_operations=[migrations.RemoveIndex("auditentry", _OLD)],
        ),
    ]
