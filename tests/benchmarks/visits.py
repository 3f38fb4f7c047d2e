"""Stored visits in any number: sessions of five pages with what is done on them, on closed days before today."""

import sys
from concurrent.futures import ThreadPoolExecutor
from datetime import date, timedelta
from functools import partial

from tests.benchmarks.behaviour import PAGES, WRITERS
from tests.benchmarks.world import World

EACH = 10
"""Events of a session: five views, each with a second event."""
OLDEST = 5
"""Days before today of the last day with events: all of them are closed."""
PEAK = 350_000
"""Events of the day before all others, whatever is asked for."""

_PAGES = "INSERT INTO page (program_id, path) SELECT %s, 'pages/list/' || lpad(n::text, 3, '0') FROM generate_series(1, %s) n"
# A subject is drawn by the product of two uniform numbers, and so is a page: few have much, many have little. Sessions of a day
# are written as they began, and end on it: they begin by 23:00 and take half an hour at most. The first event of each tells the
# scene, every event what it ran on.
_VISITS = """
    INSERT INTO event (subject_id, consent_record_id, type_id, program_id, page_id, occurred_at, corrected_at, received_at, day,
        dwell_ms, event_id, session_id, scene, context, properties)
    SELECT v.subject_id, 0, t.id, %(program)s, v.page, v.at, v.at, v.at, (v.at AT TIME ZONE 'UTC')::date,
        CASE WHEN v.name = 'page_view' AND chance < 0.7 THEN (1000 + 60000 * chance * chance)::int END,
        %(day)s || '-' || n || '-' || p || '-' || second, v.session_id,
        CASE WHEN p + second = 0 THEN (1001 + n %% 40)::text END,
        jsonb_build_object('os', CASE WHEN v.subject_id %% 3 = 0 THEN 'ios' ELSE 'android' END, 'app_version', '3.' || v.subject_id %% 5),
        CASE v.name WHEN 'page_leave' THEN jsonb_build_object('scroll_depth', round(chance::numeric, 2), 'load_ms', (80 + 4000 * chance * chance)::int)
            WHEN 'tap' THEN jsonb_build_object('element', 'button-' || (chance * 5)::int) END
    FROM (
        SELECT *, random() AS chance, began + interval '1 second' * (p * 180 + second * (20 + 70 * likes)) AS at,
            CASE WHEN second = 0 THEN 'page_view' WHEN likes < 0.60 THEN 'page_leave' WHEN likes < 0.85 THEN 'tap'
                WHEN likes < 0.93 THEN 'add_to_cart' WHEN likes < 0.97 THEN 'order' ELSE 'payment' END AS name
        FROM (
            SELECT s.*, p, random() AS likes, first_page + (random() * random() * (%(pages)s - 1))::int AS page
            FROM (
                SELECT n, ids[1 + (random() * random() * (cardinality(ids) - 1))::int] AS subject_id, md5(%(day)s || n) AS session_id,
                    %(day)s::date::timestamp AT TIME ZONE 'Asia/Shanghai' + n * interval '23 hours' / %(sessions)s AS began
                FROM generate_series(0, %(sessions)s - 1) n,
                    (SELECT array_agg(subject_id ORDER BY subject_id) AS ids FROM subject) AS everybody
            ) AS s CROSS JOIN generate_series(0, 4) p CROSS JOIN (SELECT min(id) AS first_page FROM page) AS f
        ) AS viewed CROSS JOIN generate_series(0, 1) second
    ) AS v JOIN event_type t ON t.name = v.name AND t.program_id = %(program)s
"""
_MARKS = "INSERT INTO subject_day (subject_id, day, program_id) SELECT DISTINCT subject_id, day, program_id FROM event"


def store(made: World, events: int, days: int) -> tuple[date, date]:
    """So many events on so many local days, and PEAK on the day before them; answers the first and the last of the days."""
    with made.owner() as owner:
        row = owner.execute("SELECT current_date").fetchone()
        assert row is not None
        last: date = row[0] - timedelta(days=OLDEST)
        first = last - timedelta(days=days - 1)
        owner.execute(_PAGES, [made.program_id, PAGES])
        sessions = {first - timedelta(days=1): PEAK // EACH}
        sessions |= {first + timedelta(days=n): events // days // EACH for n in range(days)}
        with ThreadPoolExecutor(WRITERS) as writers:
            list(writers.map(partial(_store_day, made), sessions, sessions.values()))
        owner.execute(_MARKS)
        owner.execute("VACUUM ANALYZE")
    print(f"stored {sum(sessions.values()) * EACH:,} events", file=sys.stderr)
    return first, last


def _store_day(made: World, day: date, sessions: int) -> None:
    about = {"program": made.program_id, "day": day.isoformat(), "sessions": sessions, "pages": PAGES}
    with made.owner() as owner:
        owner.execute(_VISITS, about)
