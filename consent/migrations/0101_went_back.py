"""A database that went back says so to all machines, once one of them has found it; what was found is not forgotten (ADR 29)."""

from django.db import migrations

# Numbers of no folder are of all. Where none was given out for the folder the database may be from before its name was kept.
WENT_BACK = """
CREATE FUNCTION went_back(confirmed bigint, own text) RETURNS boolean
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    highest bigint;
BEGIN
    SELECT greatest(
        (SELECT max(number) FROM public.journal_given_out WHERE writer IS NULL),
        coalesce(
            (SELECT max(number) FROM public.journal_given_out WHERE writer = own),
            (SELECT max(number) FROM public.journal_given_out)
        ),
        0
    ) INTO highest;
    IF confirmed <= highest THEN
        RETURN false;
    END IF;
    UPDATE public.service_state
    SET opened_at = NULL, needed_from = (SELECT coalesce(max(number), 0) FROM public.journal_given_out)
    WHERE opened_at IS NOT NULL;
    RETURN true;
END
$$
"""


class Migration(migrations.Migration):
    dependencies = [("consent", "0100_given_out_writer")]

    operations = [
        migrations.RunSQL(WENT_BACK, "DROP FUNCTION went_back(bigint, text)"),
        migrations.RunSQL("REVOKE ALL ON FUNCTION went_back(bigint, text) FROM PUBLIC", migrations.RunSQL.noop),
        migrations.RunSQL("GRANT EXECUTE ON FUNCTION went_back(bigint, text) TO zq_app", migrations.RunSQL.noop),
    ]
