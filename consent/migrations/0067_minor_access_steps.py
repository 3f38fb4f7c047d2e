"""An approval to see a minor's data is for what the reason refers to: a column with a constant default, which rewrites no row.

And the application cannot write one that nobody gave: a row begins as asked for now, is approved once while it waits, and is used
once while that holds, by the database's clock. Whoever row-level security does not bind restores rows as they were.
"""

from django.db import migrations, models

ASKED = """
CREATE POLICY asked ON minor_access AS RESTRICTIVE FOR INSERT TO zq_app WITH CHECK (
    approved_by IS NULL AND approved_at IS NULL AND used_at IS NULL
    AND asked_at BETWEEN clock_timestamp() - interval '1 minute' AND clock_timestamp()
)
"""
STEP = """
CREATE FUNCTION minor_access_step() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    moment timestamptz := clock_timestamp();
    one_step bool := CASE
        WHEN OLD.approved_at IS NULL THEN
            NEW.used_at IS NULL AND moment < OLD.asked_at + interval '1 day'
            AND NEW.approved_by IS NOT NULL AND NEW.approved_at BETWEEN moment - interval '1 minute' AND moment
        WHEN OLD.used_at IS NULL THEN
            (NEW.approved_by, NEW.approved_at) = (OLD.approved_by, OLD.approved_at)
            AND moment < OLD.approved_at + interval '1 hour' AND NEW.used_at BETWEEN moment - interval '1 minute' AND moment
        ELSE false
    END;
BEGIN
    IF one_step IS NOT TRUE AND row_security_active(TG_RELID) THEN
        RAISE EXCEPTION 'an access is approved once while it waits, and used once while that holds'
            USING ERRCODE = 'check_violation', CONSTRAINT = 'minor_access_step';
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER minor_access_step BEFORE UPDATE ON minor_access FOR EACH ROW EXECUTE FUNCTION minor_access_step();
"""
STEP_NO_MORE = "DROP TRIGGER minor_access_step ON minor_access; DROP FUNCTION minor_access_step()"


class Migration(migrations.Migration):
    dependencies = [("consent", "0066_reopened")]

    operations = [
        migrations.AddField(
            "minoraccess", "reference", models.TextField(db_default="", default="", verbose_name="reference")
        ),
        migrations.RunSQL(ASKED, "DROP POLICY asked ON minor_access"),
        migrations.RunSQL(STEP, STEP_NO_MORE),
    ]
