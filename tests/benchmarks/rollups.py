"""What rollups save and cost: reports with and without them, building, size, erasing.

    python -m tests.benchmarks.rollups [--events N] [--subjects N] [--days N] [--var FOLDER]

Every measurement runs in a process of its own against a PostgreSQL of its own. Erasures are those of
tests.benchmarks.erasures: database is the time for which PostgreSQL worked for the session that erased.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from tests.benchmarks.clients import ROOT, run
from tests.benchmarks.world import World, world

OLDEST = 5
"""Days before today on which the last events are: all days with events are closed."""
PEAK = 350_000
"""Events of one local day more, before all others."""
WARM, ERASED = 5, 25
"""Subjects who are erased in each of the three rounds: without rollups, with them, and without again."""

# A subject is drawn by the product of two uniform numbers: few have many events, many have few.
_EVENTS = """
    INSERT INTO event (subject_id, consent_record_id, type_id, program_id, occurred_at, corrected_at, received_at, day,
        event_id, session_id)
    SELECT ids[1 + (random() * random() * (cardinality(ids) - 1))::int], 0, types[1 + (n %% cardinality(types))], %(program)s,
        at, at, at, (at AT TIME ZONE 'UTC')::date, %(name)s || n, NULL
    FROM (SELECT array_agg(subject_id ORDER BY subject_id) AS ids FROM subject WHERE subject_id <> ALL(%(erased)s)) AS s,
        (SELECT array_agg(t.id) AS types FROM event_type t JOIN purpose p ON p.id = t.purpose_id
         WHERE p.code = 'analytics') AS t,
        (SELECT n, %(until)s::date::timestamp AT TIME ZONE 'Asia/Shanghai' - random() * make_interval(days => %(days)s) AS at
         FROM generate_series(1, %(events)s) n) AS e
"""
# Five events on each of ten days, three days apart.
_OF_TEN_DAYS = """
    INSERT INTO event (subject_id, consent_record_id, type_id, program_id, occurred_at, corrected_at, received_at, day,
        event_id, session_id)
    SELECT subject_id, 0, types[1 + (n %% cardinality(types))], %(program)s, at, at, at, (at AT TIME ZONE 'UTC')::date,
        'ten-' || n, NULL
    FROM unnest(%(erased)s::bigint[]) AS s(subject_id),
        (SELECT array_agg(t.id) AS types FROM event_type t JOIN purpose p ON p.id = t.purpose_id
         WHERE p.code = 'analytics') AS t,
        (SELECT n, date_trunc('day', now()) - make_interval(days => 6 + 3 * (n / 5), mins => n %% 5) AS at
         FROM generate_series(0, 49) n) AS e
"""
_MARKS = "INSERT INTO subject_day (subject_id, day, program_id) SELECT DISTINCT subject_id, day, program_id FROM event"


def filled(made: World, events: int, days: int, erased: Sequence[int]) -> None:
    """`erased`: the subjects whose erasure is measured."""
    about: dict[str, Any] = {"program": made.program_id, "erased": [made.subjects[number] for number in erased]}
    with made.owner() as owner:
        row = owner.execute(f"SELECT current_date - {OLDEST - 1}, current_date - {OLDEST - 1 + days}").fetchone()
        until, before = row or (None, None)
        owner.execute(_EVENTS, {**about, "until": until, "days": days, "events": events, "name": "e-"})
        owner.execute(_EVENTS, {**about, "until": before, "days": 1, "events": PEAK, "name": "peak-"})
        owner.execute(_OF_TEN_DAYS, about)
        owner.execute(_MARKS)
        owner.execute("VACUUM ANALYZE")


def rolled(made: World, *arguments: object) -> str:
    """What tests.benchmarks.rolled prints."""
    environment = {**made.environment, "ZHIQING_ROLE": "worker", "DJANGO_SETTINGS_MODULE": "config.settings"}
    command = [sys.executable, "-m", "tests.benchmarks.rolled", *map(str, arguments)]
    return subprocess.run(command, env=environment, cwd=ROOT, check=True, stdout=subprocess.PIPE, text=True).stdout


def tell_building(built: dict[str, Any]) -> None:
    print(f"building a day: {built['day_ms']:,.0f} ms; the largest: {built['largest_ms']:,.0f} ms")
    print(
        f"rollups {built['rollups'] / 1e6:.1f} MB, of them bitmaps {built['bitmaps'] / 1e6:.1f} MB and packed events"
        f" {built['packed'] / 1e6:.1f} MB; events"
        f" {built['events'] / 1e6:.1f} MB: {built['rollups'] / built['events']:.1%}"
    )
    print(f"days that differ: {built['differ']}")


def erase(made: World, what: str, numbers: Sequence[int]) -> None:
    command = ("tests.benchmarks.erasing", "alone", str(made.program_id), *map(str, numbers))
    (told,) = run([command], {**os.environ, **made.environment, "ZHIQING_ROLE": "worker"})
    if told["states"] != {"completed": len(numbers)}:
        raise RuntimeError(f"not erased: {told['states']}")
    p50 = {name: statistics.median(told[name][WARM:]) for name in ("active", "processor", "took", "statements")}
    print(
        f"erasing 50 events of ten days, {what}: database {p50['active'] * 1000:.1f} ms, processor"
        f" {p50['processor'] * 1000:.1f} ms, altogether {p50['took'] * 1000:.0f} ms, {p50['statements']:.0f} statements"
        f" ({len(numbers) - WARM} erasures, medians)"
    )


def main(arguments: list[str]) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--events", type=int, default=1_000_000)
    parser.add_argument("--subjects", type=int, default=200_000)
    parser.add_argument("--days", type=int, default=40)
    parser.add_argument("--var", type=Path, default=ROOT / "var" / "bench")
    asked = parser.parse_args(arguments)
    each = WARM + ERASED
    erased = [n * (asked.subjects // (3 * each)) for n in range(3 * each)]
    with world(asked.var, subjects=asked.subjects, days=asked.days + 10) as made:
        filled(made, asked.events, asked.days, erased)
        erase(made, "without rollups", erased[::3])
        tell_building(json.loads(rolled(made, "build", made.program_id)))
        print(rolled(made, "report", made.program_id, 30), end="")
        erase(made, "with them", erased[1::3])
        with made.owner() as owner:
            owner.execute("DELETE FROM rollup")
            owner.execute("DELETE FROM rollup_events")
            owner.execute("DELETE FROM rollup_day")
        erase(made, "without them again", erased[2::3])


if __name__ == "__main__":
    main(sys.argv[1:])
