"""The half of tests.benchmarks.rollups and .reports that needs the world's settings, in a process of its own.

build PROGRAM               builds all days, and tells what that took and came to as JSON
report PROGRAM DAYS         metrics with and without rollups
ungated PROGRAM METRIC BODY the report's answer as a sandbox would have it
"""

import json
import statistics
import sys
import time
from collections.abc import Callable, Mapping
from datetime import UTC, date, datetime, timedelta
from typing import cast
from unittest.mock import patch
from zoneinfo import ZoneInfo

import django
import msgspec

django.setup()

from django.db import connection  # noqa: E402

from consent.programs.tenancy import tenant  # noqa: E402
from reports.api.asking import answered  # noqa: E402
from reports.api.shapes import ASKED  # noqa: E402
from reports.metrics.registry import Question, answer  # noqa: E402
from reports.metrics.retention import Retention  # noqa: E402
from reports.rollups.build import build, buildable, differs  # noqa: E402
from tests.reports.events import ACCEPTED  # noqa: E402

ZONE = ZoneInfo("Asia/Shanghai")
ROUNDS = 9
K = 10
_SIZES = """
    SELECT (SELECT sum(octet_length(subjects)) FROM rollup)::bigint,
           pg_total_relation_size('rollup_events'),
           pg_total_relation_size('rollup') + pg_total_relation_size('rollup_day') + pg_total_relation_size('rollup_events'),
           (SELECT sum(pg_total_relation_size(inhrelid)) FROM pg_inherits WHERE inhparent = 'event'::regclass)::bigint
"""
_OF_DAYS = "SELECT day, sum(number) FROM rollup WHERE program_id = %(program)s AND kind = 'subject' GROUP BY day"
METRICS: Mapping[str, tuple[str, object]] = {
    "activity": ("activity", None),
    "stickiness": ("stickiness", None),
    "retention, 30 x 30": ("retention", Retention(periods=30)),
    "retention of an event, 30 x 30": (
        "retention",
        Retention(cohort_event="page_view", return_event="page_view", periods=30),
    ),
    "lifecycle": ("lifecycle", None),
}


def timed(what: Callable[[], object]) -> float:
    """Milliseconds."""
    began = time.perf_counter()
    what()
    return (time.perf_counter() - began) * 1000


def make(program_id: int) -> None:
    """All days that can be built, the oldest first."""
    now = datetime.now(UTC)
    took: dict[date, float] = {}
    for day in buildable(program_id, ZONE, now):
        took[day] = timed(lambda day=day: build(program_id, ZONE, day, now=now))  # type: ignore[misc]
    with connection.cursor() as cursor:
        cursor.execute("ANALYZE rollup, rollup_day, rollup_events")
        with tenant(program_id):
            cursor.execute(_SIZES)
            bitmaps, packed, rollups, events = cast(tuple[int, int, int, int], cursor.fetchone())
            cursor.execute(_OF_DAYS, {"program": program_id})
            counts = {day: int(number) for day, number in cursor.fetchall()}
    full = [took[day] for day in sorted(counts)]
    print(
        json.dumps(
            {
                "day_ms": statistics.median(full),
                "first_ms": statistics.median(full[1:11]),
                "last_ms": statistics.median(full[-10:]),
                "largest_ms": max(full),
                "largest_events": max(counts.values()),
                "bitmaps": bitmaps,
                "packed": packed,
                "rollups": rollups,
                "events": events,
                "differ": sum(differs(program_id, ZONE, day) for day in took),
            }
        )
    )


def ungated(program_id: int, metric: str, body: str) -> None:
    asked = msgspec.json.decode(body, type=ASKED[metric])
    told = answered(metric, asked, program_id=program_id, zone=ZONE.key, sandbox=True, now=datetime.now(UTC), csv=False)
    print(json.dumps(told, default=str))


def report(program_id: int, count: int) -> None:
    """Each metric over the last days that are closed, by rollups and by events, to the same figures."""
    now = datetime.now(UTC)
    last = buildable(program_id, ZONE, now).last
    for name, (metric, options) in METRICS.items():
        question = Question(
            program_id, ZONE, last - timedelta(days=count - 1), last, now, "day", options, accepted=ACCEPTED
        )
        figures = answer(metric, question, k=K).released
        rollups = statistics.median(timed(lambda: answer(metric, question, k=K)) for _ in range(ROUNDS))  # noqa: B023
        with patch("reports.rollups.read.stored.clean_days", _none):
            assert answer(metric, question, k=K).released == figures
            events = statistics.median(timed(lambda: answer(metric, question, k=K)) for _ in range(3))  # noqa: B023
        print(f"{name}: from events {events:,.0f} ms, from rollups {rollups:,.0f} ms: {events / rollups:.0f} x")


def _none(*_: object) -> set[date]:
    return set()


if __name__ == "__main__":
    with connection.cursor() as slow:
        slow.execute("SET statement_timeout = 0")
    program = int(sys.argv[2])
    if sys.argv[1] == "build":
        make(program)
    elif sys.argv[1] == "report":
        report(program, int(sys.argv[3]))
    else:
        ungated(program, *sys.argv[3:])
