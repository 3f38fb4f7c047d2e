"""Ids after a restore: sequences move on by the owner's hand, in steps that no backup's lifetime can use up (ADR 29)."""

from django.db import migrations

BEGIN_EPOCH = """
CREATE FUNCTION begin_epoch(known bigint) RETURNS bigint
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    own bigint;
    epoch bigint;
    one record;
    first bigint;
BEGIN
    SELECT last_value >> 36 INTO own FROM public.journal_number;
    epoch := greatest(own, known, 0) + 1;
    IF epoch > 2000 THEN
        RAISE EXCEPTION 'no further epoch' USING ERRCODE = '22023';
    END IF;
    FOR one IN
        SELECT s.sequencename, s.data_type, s.last_value FROM pg_sequences s
        WHERE s.schemaname = 'public' AND s.sequenceowner = current_user
    LOOP
        first := epoch << (CASE WHEN one.data_type = 'bigint'::regtype THEN 36 ELSE 20 END);
        IF coalesce(one.last_value, 0) < first THEN
            PERFORM setval(format('public.%I', one.sequencename)::regclass, first);
        END IF;
    END LOOP;
    RETURN epoch;
END
$$
"""


class Migration(migrations.Migration):
    dependencies = [("consent", "0081_service_state")]

    operations = [
        migrations.RunSQL(BEGIN_EPOCH, "DROP FUNCTION begin_epoch(bigint)"),
        migrations.RunSQL("REVOKE ALL ON FUNCTION begin_epoch(bigint) FROM PUBLIC", migrations.RunSQL.noop),
        migrations.RunSQL("GRANT EXECUTE ON FUNCTION begin_epoch(bigint) TO zq_erase", migrations.RunSQL.noop),
    ]
