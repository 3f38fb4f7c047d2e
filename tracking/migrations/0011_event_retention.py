"""Dropping days of events that nobody may keep: functions of the owner's, which look at what the notices told.

DROP takes the whole table for itself for a moment. It waits a tenth of a second at most, since every batch waits behind
it; where that is too short, the day is emptied, which locks nobody else, and dropped another time.
"""

from django.db import migrations

from consent.programs.security import grant, tenant_policy

# Materialised, since only partitions have names that end with a day.
EVENT_DAYS_OVER = """
CREATE FUNCTION event_days_over(today date) RETURNS SETOF date
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
    WITH part AS MATERIALIZED (
        SELECT to_date(right(c.relname, 8), 'YYYYMMDD') AS day
        FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid
        WHERE i.inhparent = 'public.event'::regclass AND NOT i.inhdetachpending
    )
    SELECT part.day FROM part
    WHERE part.day + (SELECT max(told.retention_days) FROM public.notice_purpose told) < today
$$
"""
DROP_EVENT_DAY = """
CREATE FUNCTION drop_event_day(day date) RETURNS boolean
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp SET lock_timeout = '100ms' AS $$
DECLARE
    part text := 'event_' || to_char(day, 'YYYYMMDD');
BEGIN
    IF day NOT IN (SELECT public.event_days_over((now() AT TIME ZONE 'UTC')::date)) THEN
        RETURN false;
    END IF;
    BEGIN
        PERFORM pg_advisory_xact_lock(hashtextextended('ensure_event_days', 0));
        EXECUTE format('DROP TABLE public.%I', part);
        RETURN true;
    EXCEPTION WHEN lock_not_available OR undefined_table THEN
        NULL;
    END;
    BEGIN
        EXECUTE format('TRUNCATE public.%I', part);
    EXCEPTION WHEN lock_not_available OR undefined_table THEN
        NULL;
    END;
    RETURN false;
END
$$
"""


class Migration(migrations.Migration):
    dependencies = [("tracking", "0010_event_sweep")]

    operations = [
        *tenant_policy("event_sweep"),
        grant("event_sweep", "zq_app", "SELECT, INSERT, UPDATE"),
        migrations.RunSQL(EVENT_DAYS_OVER, "DROP FUNCTION event_days_over(date)"),
        migrations.RunSQL(DROP_EVENT_DAY, "DROP FUNCTION drop_event_day(date)"),
        migrations.RunSQL(
            "REVOKE ALL ON FUNCTION event_days_over(date), drop_event_day(date) FROM PUBLIC;"
            "GRANT EXECUTE ON FUNCTION event_days_over(date) TO zq_app;"
            "GRANT EXECUTE ON FUNCTION drop_event_day(date) TO zq_erase",
            "REVOKE ALL ON FUNCTION event_days_over(date) FROM zq_app;"
            "REVOKE ALL ON FUNCTION drop_event_day(date) FROM zq_erase",
        ),
    ]
