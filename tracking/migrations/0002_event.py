"""The events: partitioned by day, made ahead or on demand by a function of the owner's, since others may not do DDL."""

from django.db import migrations, models

EVENT = """
CREATE TABLE event (
    subject_id bigint NOT NULL,
    consent_record_id bigint NOT NULL,
    type_id bigint NOT NULL,
    page_id bigint,
    occurred_at timestamptz NOT NULL,
    corrected_at timestamptz NOT NULL,
    received_at timestamptz NOT NULL,
    day date NOT NULL,
    program_id int NOT NULL DEFAULT (nullif(current_setting('zq.program', true), '')::int),
    dwell_ms int,
    event_id text COLLATE "C" NOT NULL,
    session_id text COLLATE "C",
    scene text,
    context jsonb,
    properties jsonb,
    PRIMARY KEY (subject_id, day, event_id),
    CONSTRAINT event_day CHECK (day = (occurred_at AT TIME ZONE 'UTC')::date)
) PARTITION BY RANGE (day)
"""

# CREATE TABLE and ATTACH passes beside open inserts and reports; PARTITION OF would wait for all of them. The advisory
# lock lets one caller at a time through, and the re-check under it lets the others find the work done.
ENSURE_EVENT_DAYS = """
CREATE FUNCTION ensure_event_days(days date[]) RETURNS int
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    wanted date;
    part text;
    made int := 0;
BEGIN
    IF cardinality(days) > 500 OR EXISTS (
        SELECT FROM unnest(days) AS d WHERE d IS NULL OR d < current_date - 4010 OR d > current_date + 30
    ) THEN
        RAISE EXCEPTION 'days outside the bounds of the event table' USING ERRCODE = '22023';
    END IF;
    IF NOT EXISTS (
        SELECT FROM unnest(days) AS d WHERE to_regclass('public.event_' || to_char(d, 'YYYYMMDD')) IS NULL
    ) THEN
        RETURN 0;
    END IF;
    PERFORM pg_advisory_xact_lock(hashtextextended('ensure_event_days', 0));
    FOR wanted IN SELECT DISTINCT d FROM unnest(days) AS d ORDER BY d LOOP
        part := 'event_' || to_char(wanted, 'YYYYMMDD');
        CONTINUE WHEN to_regclass('public.' || part) IS NOT NULL;
        EXECUTE format('CREATE TABLE public.%I (LIKE public.event INCLUDING ALL)', part);
        EXECUTE format(
            'ALTER TABLE public.event ATTACH PARTITION public.%I FOR VALUES FROM (%L) TO (%L)',
            part, wanted, wanted + 1
        );
        made := made + 1;
    END LOOP;
    RETURN made;
END
$$
"""


class Migration(migrations.Migration):
    dependencies = [("tracking", "0001_initial")]

    operations = [
        migrations.SeparateDatabaseAndState(
            database_operations=[migrations.RunSQL(EVENT, "DROP TABLE event")],
            state_operations=[
                migrations.CreateModel(
                    name="Event",
                    fields=[
                        (
                            "pk",
                            models.CompositePrimaryKey(
                                "subject_id",
                                "day",
                                "event_id",
                                blank=True,
                                editable=False,
                                primary_key=True,
                                serialize=False,
                            ),
                        ),
                        ("subject_id", models.BigIntegerField()),
                        ("day", models.DateField()),
                        ("event_id", models.TextField(db_collation="C")),
                        ("program_id", models.IntegerField()),
                        ("type_id", models.BigIntegerField()),
                        ("consent_record_id", models.BigIntegerField()),
                        ("session_id", models.TextField(db_collation="C", null=True)),
                        ("page_id", models.BigIntegerField(null=True)),
                        ("occurred_at", models.DateTimeField()),
                        ("corrected_at", models.DateTimeField()),
                        ("received_at", models.DateTimeField()),
                        ("dwell_ms", models.IntegerField(null=True)),
                        ("scene", models.TextField(null=True)),
                        ("context", models.JSONField(null=True)),
                        ("properties", models.JSONField(null=True)),
                    ],
                    options={
                        "verbose_name": "event",
                        "verbose_name_plural": "events",
                        "db_table": "event",
                    },
                ),
            ],
        ),
        migrations.RunSQL(ENSURE_EVENT_DAYS, "DROP FUNCTION ensure_event_days(date[])"),
    ]
