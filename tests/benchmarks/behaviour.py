"""Stored events in any number, as batches on the days before today would have left them, with their days marked."""

import sys
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any

from tests.benchmarks.world import World

DAYS = 10
"""Before today; all lie within the consents."""
DAY_S = 86_000
"""Of a day there are events."""
PAGES = 300
WRITERS = 4

_PARTITIONS = "SELECT ensure_event_days(array_agg(current_date - n)) FROM generate_series(1, %s) n"
_PAGES = """
    INSERT INTO page (program_id, path) SELECT %s, 'pages/list/' || lpad(n::text, 3, '0') FROM generate_series(1, %s) n
    ON CONFLICT DO NOTHING
"""
# By place first, as time would have it: the rows of one subject's day lie on as many pages as there are places. Where places
# are further apart than a second, their subjects come one after the other in between.
_EVENTS = """
    INSERT INTO event (subject_id, consent_record_id, type_id, page_id, occurred_at, corrected_at, received_at, day,
        dwell_ms, event_id, session_id, scene, context, properties, program_id)
    SELECT subject_id, record_id, (SELECT id FROM event_type WHERE program_id = %(program)s AND name = 'page_view'),
        (SELECT min(id) FROM page WHERE program_id = %(program)s) + (subject_id + place) %% %(pages)s,
        at, at, at + interval '1 second', at::date, 10000 + place %% 50000, 'stored-' || lpad(place::text, 12, '0'),
        md5(subject_id::text), '1001', '{"os": "ios", "network": "wifi", "app_version": "8.0.49"}',
        '{"referrer_page": "pages/home/001"}', %(program)s
    FROM (
        SELECT r.subject_id, r.id AS record_id, place,
            (current_date - %(ago)s)::timestamp AT TIME ZONE 'UTC' + interval '1 second' * (place * %(apart)s %% %(day)s)
                + interval '1 second' * (%(apart)s - 1) * (r.subject_id - %(lowest)s) / %(many)s AS at
        FROM consent_record r, generate_series(%(first)s::int, %(last)s::int) place
        WHERE r.program_id = %(program)s AND r.subject_id = ANY(%(subjects)s)
        ORDER BY place, r.subject_id
    ) one
"""
_MARKS = """
    INSERT INTO subject_day (subject_id, day, program_id)
    SELECT subject_id, current_date - %(ago)s, %(program)s FROM subject
    WHERE program_id = %(program)s AND subject_id = ANY(%(subjects)s)
    ON CONFLICT DO NOTHING
"""


def store(made: World, subjects: Sequence[int], places: range, *, apart: int = 1) -> None:
    """An event for each of `places` on each of DAYS days for all of these subjects, several days at a time.

    `apart`: seconds from one place to the next.
    """
    about: dict[str, Any] = {"program": made.program_id, "pages": PAGES, "subjects": list(subjects)}
    about |= {"first": places.start, "last": places.stop - 1, "apart": apart, "day": DAY_S}
    about |= {"lowest": min(subjects), "many": max(subjects) - min(subjects) + 1}
    with made.owner() as owner:
        owner.execute(_PARTITIONS, [DAYS])
        owner.execute(_PAGES, [made.program_id, PAGES])
        with ThreadPoolExecutor(WRITERS) as writers:
            list(writers.map(partial(_store_day, made, about), range(DAYS, 0, -1)))
        owner.execute("VACUUM ANALYZE")  # as autovacuum would have done by then
    print(f"stored {len(subjects) * len(places) * DAYS:,} events", file=sys.stderr)


def _store_day(made: World, about: Mapping[str, Any], ago: int) -> None:
    with made.owner() as owner:
        owner.execute(_EVENTS, {**about, "ago": ago})
        owner.execute(_MARKS, {**about, "ago": ago})
