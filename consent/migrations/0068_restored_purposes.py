"""A dump of the data alone is restored: the trigger that asks for a mechanism (0062) finds its tables whatever the search path is,
and new rows it refuses to whom row-level security binds; a change still to everybody. A purpose that is active may have a mechanism
that is over by now, and is restored as it was."""

from django.db import migrations

NEEDED = """
CREATE OR REPLACE FUNCTION purpose_needs_mechanism() RETURNS trigger LANGUAGE plpgsql {path} AS $$
BEGIN
    IF {bound} NOT EXISTS (
        SELECT FROM mechanism JOIN program ON program.id = mechanism.program_id
        WHERE mechanism.program_id = NEW.program_id AND NEW.code = ANY (mechanism.purposes)
        AND (now() AT TIME ZONE program.zone)::date BETWEEN mechanism.valid_from AND coalesce(mechanism.valid_until, 'infinity')
    ) THEN
        RAISE EXCEPTION 'purpose % crosses the border and has no mechanism that is valid today', NEW.code
            USING ERRCODE = 'check_violation', CONSTRAINT = 'purpose_mechanism';
    END IF;
    RETURN NEW;
END $$
"""
NOW = NEEDED.format(
    path="SET search_path = pg_catalog, public, pg_temp",
    bound="(TG_OP = 'UPDATE' OR row_security_active(TG_RELID)) AND",
)
BEFORE = NEEDED.format(path="", bound="")


class Migration(migrations.Migration):
    dependencies = [("consent", "0067_minor_access_steps")]

    operations = [migrations.RunSQL(NOW, BEFORE)]
