"""L21 (PIPL 57): given a key, a table or a window of time, the subjects and fields of a breach are listed within seconds."""

import io
import json
import time
from datetime import timedelta
from typing import Any

import psycopg
import pytest
from django.core.management import call_command

from tests.cast import Program, now
from tests.consent.rights import lively

SECONDS = 10
SUBJECTS, DAYS, EVENTS_A_DAY = 100_000, 10, 1
"""A million events, and as many days of subjects, which is what counts."""

MANY = """
INSERT INTO subject (subject_id, program_id, pseudonym, erasure_handle, version, restricted, erasure_pending, under_14)
SELECT 1000000 + n, %(program)s, gen_random_uuid(), decode(md5(n::text), 'hex'), 0, false, false, false
FROM generate_series(1, %(subjects)s) n;
INSERT INTO data_key (subject_id, program_id, wrapped, key_version)
SELECT 1000000 + n, %(program)s, 'x', 1 + n %% 2 FROM generate_series(1, %(subjects)s) n;
INSERT INTO subject_lookup (index, program_id, subject_id, kind, key_version)
SELECT sha256(n::text::bytea), %(program)s, 1000000 + n, 'openid', 1 FROM generate_series(1, %(subjects)s) n;
INSERT INTO subject_day (subject_id, day, program_id)
SELECT 1000000 + n, (now() AT TIME ZONE 'UTC')::date - d, %(program)s
FROM generate_series(1, %(subjects)s) n, generate_series(1, %(days)s) d;
INSERT INTO event (subject_id, consent_record_id, type_id, occurred_at, corrected_at, received_at, day, program_id, event_id)
SELECT 1000000 + n, 1, 1, at, at, at, (at AT TIME ZONE 'UTC')::date, %(program)s, e::text
FROM generate_series(1, %(subjects)s) n, generate_series(1, %(days)s) d, generate_series(1, %(events)s) e,
LATERAL (SELECT ((now() AT TIME ZONE 'UTC')::date - d + interval '12 hours') AT TIME ZONE 'UTC' AS at) AS moment;
"""


def listed(*arguments: Any) -> dict[str, Any]:
    out = io.StringIO()
    call_command("affected", *map(str, arguments), "--json", stdout=out, stderr=io.StringIO())
    answer: dict[str, Any] = json.loads(out.getvalue())
    return answer


def test_by_key_table_and_time_the_subjects_and_fields_are_listed(program: Program, other: Program) -> None:
    alice = lively(program)
    since, until = (now() - timedelta(minutes=5)).isoformat(), now().isoformat()
    for breach in (["--key", "key_encryption:1"], ["--table", "event"], ["--from", since, "--to", until]):
        told = listed(*breach)
        assert [(item["program"], item["pseudonyms"]) for item in told["programs"]] == [
            (program.id, [alice]),
            (other.id, []),
        ], breach
        assert all(1 <= field["grade"] <= 4 and field["classification"] for field in told["fields"])
    tables = {field["table"] for field in told["fields"]}
    assert {"consent_record", "profile_attribute", "event"} <= tables
    assert {"subject_request", "package"}.isdisjoint(tables)


@pytest.mark.longest
def test_of_a_million_events_it_takes_seconds(program: Program, owner: psycopg.Connection) -> None:
    with owner.transaction():
        days = "SELECT array_agg((now() AT TIME ZONE 'UTC')::date - d) FROM generate_series(0, %s) d"
        owner.execute(f"SELECT ensure_event_days(({days}))", [DAYS + 8])
        sizes = {"program": program.id, "subjects": SUBJECTS, "days": DAYS, "events": EVENTS_A_DAY}
        for statement in MANY.strip().split(";\n"):
            owner.execute(statement.rstrip(";"), sizes)
    day = now().replace(hour=0, minute=0, second=0, microsecond=0)
    asked = {
        "index key": (["--key", "index:1"], SUBJECTS),
        "key-encryption key": (["--key", "key_encryption:2"], SUBJECTS // 2),
        "table": (["--table", "event"], SUBJECTS),
        "all days": (["--from", (day - timedelta(days=60)).isoformat(), "--to", now().isoformat()], SUBJECTS),
        "two days": (["--from", (day - timedelta(days=3)).isoformat(), "--to", (day - timedelta(days=1)).isoformat()], SUBJECTS),
        "an hour": (["--from", (day - timedelta(hours=13)).isoformat(), "--to", (day - timedelta(hours=11)).isoformat()], SUBJECTS),
    }  # fmt: skip
    took = {}
    for name, (breach, subjects) in asked.items():
        begun = time.perf_counter()
        assert listed(*breach)["subjects"] == subjects, name
        took[name] = round(time.perf_counter() - begun, 2)
    assert max(took.values()) < SECONDS, took
