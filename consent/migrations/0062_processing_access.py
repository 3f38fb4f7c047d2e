"""Terms are added and changed, incidents and their entries only added. And no purpose that crosses the border becomes active
without a mechanism that is valid that day, in the mini-program's zone (PIPL 38): the database itself refuses it. That the
notice's every recipient has one is for the application to see. An end that comes later deactivates nothing.
"""

from django.db import migrations

from consent.programs.security import grant, tenant_policy

TABLES = ("processor", "mechanism", "incident", "incident_entry")
CHANGED = {
    "processor": "name, contact, categories, method, measures, contract",
    "mechanism": "kind, recipient, reference, ground",
}
TERM = "purposes, valid_from, valid_until, noted"
NEEDED = """
CREATE FUNCTION purpose_needs_mechanism() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF NOT EXISTS (
        SELECT FROM mechanism JOIN program ON program.id = mechanism.program_id
        WHERE mechanism.program_id = NEW.program_id AND NEW.code = ANY (mechanism.purposes)
        AND (now() AT TIME ZONE program.zone)::date BETWEEN mechanism.valid_from AND coalesce(mechanism.valid_until, 'infinity')
    ) THEN
        RAISE EXCEPTION 'purpose % crosses the border and has no mechanism that is valid today', NEW.code
            USING ERRCODE = 'check_violation', CONSTRAINT = 'purpose_mechanism';
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER purpose_mechanism_new BEFORE INSERT ON purpose FOR EACH ROW
    WHEN (NEW.active AND NEW.separate_consent = '39') EXECUTE FUNCTION purpose_needs_mechanism();
CREATE TRIGGER purpose_mechanism BEFORE UPDATE OF active ON purpose FOR EACH ROW
    WHEN (NEW.active AND NOT OLD.active AND NEW.separate_consent = '39') EXECUTE FUNCTION purpose_needs_mechanism();
"""
NEEDED_NO_MORE = """
DROP TRIGGER purpose_mechanism ON purpose;
DROP TRIGGER purpose_mechanism_new ON purpose;
DROP FUNCTION purpose_needs_mechanism();
"""


class Migration(migrations.Migration):
    dependencies = [("consent", "0061_processing")]

    operations = [
        *(operation for table in TABLES for operation in tenant_policy(table)),
        *(grant(table, "zq_app", "SELECT, INSERT") for table in TABLES),
        *(grant(table, "zq_app", f"UPDATE ({TERM}, {own})") for table, own in CHANGED.items()),
        migrations.RunSQL(NEEDED, NEEDED_NO_MORE),
    ]
