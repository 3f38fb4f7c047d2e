"""The index on when events came: on every day, old or new, built beside writes, and used by a window of time."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import date, timedelta
from importlib import import_module
from typing import Any

import psycopg
import pytest
from django.db import connection

from consent.programs.tenancy import tenant
from consent.rights.affected import OfTime, find
from tests.cast import Program, event, now
from tests.consent.retaining import purge, since
from tests.consent.rights import Working, lively
from tests.migrating import run, until
from tests.tracking.test_retention_of_events import days_held, stored

migration = import_module("tracking.migrations.0015_event_received")
INDEX = "event_received_at"
RECEIVED = """
    INSERT INTO event (subject_id, consent_record_id, type_id, occurred_at, corrected_at, received_at, day, program_id, event_id)
    SELECT 1, 1, 1, at, at, at, %(day)s, %(program)s, n::text
    FROM generate_series(0, %(events)s - 1) n,
    LATERAL (SELECT (%(day)s + interval '86400 seconds' / %(events)s * n) AT TIME ZONE 'UTC' AS at) AS moment
"""


def attached(owner: psycopg.Connection) -> dict[str, tuple[str, list[str]]]:
    """Day -> its whole index below the table's, with its options."""
    rows = owner.execute(
        "SELECT own.indrelid::regclass::text, part.relname, part.reloptions FROM pg_inherits i"
        " JOIN pg_class part ON part.oid = i.inhrelid JOIN pg_index own ON own.indexrelid = part.oid"
        " WHERE i.inhparent = to_regclass(%s) AND own.indisvalid AND own.indisready",
        [INDEX],
    ).fetchall()
    return {str(day): (str(name), list(options)) for day, name, options in rows}


def everywhere(owner: psycopg.Connection) -> bool:
    """Whether the table's is whole, every day has its own as part of it, and none is left beside."""
    of_days = {day: (f"{day}_received_at_idx", ["autosummarize=on"]) for day in days_held(owner)}
    whole = owner.execute("SELECT indisvalid FROM pg_index WHERE indexrelid = to_regclass(%s)", [INDEX]).fetchone()
    return attached(owner) == of_days and whole == (True,) and times_indexed(owner) == len(of_days) + 1


def times_indexed(owner: psycopg.Connection) -> int:
    counted = owner.execute("SELECT count(*) FROM pg_class WHERE relname ~ '^event_.*received_at'").fetchone()
    return counted[0] if counted else 0


def ensure(owner: psycopg.Connection, *days: date) -> None:
    owner.execute("SELECT ensure_event_days(%s::date[])", [list(days)])


def new_day(owner: psycopg.Connection) -> date:
    """The last before today that has no partition yet."""
    days, held = (now().date() - timedelta(n) for n in range(1, 4_000)), days_held(owner)
    return next(day for day in days if f"event_{day:%Y%m%d}" not in held)


@contextmanager
def without() -> Iterator[None]:
    """As before the migration; whole again afterwards."""
    run(migration.drop)
    try:
        yield
    finally:
        run(migration.build)


def test_every_day_has_it_also_those_made_later(program: Program, owner: psycopg.Connection) -> None:
    ensure(owner, now().date())
    assert everywhere(owner)
    later = new_day(owner)
    ensure(owner, later)
    assert f"event_{later:%Y%m%d}" in attached(owner)
    assert everywhere(owner)


def test_the_migration_builds_it_for_days_that_are_there_and_goes_back(
    program: Program, owner: psycopg.Connection
) -> None:
    lively(program)
    with without():
        assert times_indexed(owner) == 0
        kept = owner.execute("SELECT * FROM event ORDER BY event_id").fetchall()
        assert kept
    assert everywhere(owner)
    assert owner.execute("SELECT * FROM event ORDER BY event_id").fetchall() == kept


def test_a_build_that_was_broken_off_is_taken_up(program: Program, owner: psycopg.Connection) -> None:
    """One day's index is left broken, another's whole and not yet a part of the table's."""
    today, before = (f"event_{now().date() - timedelta(n):%Y%m%d}" for n in (0, 1))
    ensure(owner, now().date(), now().date() - timedelta(1))
    with without():
        owner.execute(f"CREATE INDEX {INDEX} ON ONLY event {migration.DEFINITION}")
        owner.execute(f"CREATE INDEX {before}_received_at_idx ON {before} {migration.DEFINITION}")
        built = owner.execute("SELECT %s::regclass::oid", [f"{before}_received_at_idx"]).fetchone()
        with psycopg.connect(owner.info.dsn, password=owner.info.password) as writing:
            writing.execute(f"LOCK TABLE {today} IN ROW EXCLUSIVE MODE")
            owner.execute("SET lock_timeout = '50ms'")
            with pytest.raises(psycopg.errors.LockNotAvailable):
                owner.execute(f"CREATE INDEX CONCURRENTLY {today}_received_at_idx ON {today} {migration.DEFINITION}")
            owner.execute("RESET lock_timeout")
        assert not attached(owner)
    assert everywhere(owner)
    assert owner.execute("SELECT %s::regclass::oid", [f"{before}_received_at_idx"]).fetchone() == built


def test_events_come_and_days_are_made_while_it_is_built(program: Program, owner: psycopg.Connection) -> None:
    program.decide("alice")
    ensure(owner, now().date())
    later = new_day(owner)
    with ThreadPoolExecutor(1) as thread, without():
        with psycopg.connect(owner.info.dsn, password=owner.info.password) as writing:
            writing.execute(f"LOCK TABLE event_{now():%Y%m%d} IN ROW EXCLUSIVE MODE")
            building = thread.submit(run, migration.build)
            until(owner, "CREATE INDEX CONCURRENTLY")
            assert program.send(event("alice", "meanwhile"))["stored"] == 1
            ensure(owner, later)
            assert f"event_{later:%Y%m%d}" in attached(owner)
        building.result()
        assert everywhere(owner)


def test_who_writes_lets_a_migration_wait_and_waits_for_it_no_longer_than_half_a_second(
    program: Program, owner: psycopg.Connection
) -> None:
    program.decide("alice")
    assert program.send(event("alice", "first"))["stored"] == 1
    with ThreadPoolExecutor(1) as thread, without():
        with psycopg.connect(owner.info.dsn, password=owner.info.password) as writing:
            writing.execute("LOCK TABLE event IN ROW EXCLUSIVE MODE")
            building = thread.submit(run, migration.build)
            until(owner, "CREATE INDEX IF NOT EXISTS")
            assert program.send(event("alice", "second"))["stored"] == 1
            until(owner, "CREATE INDEX IF NOT EXISTS", waits=False)
        building.result()
        assert everywhere(owner)


def test_a_day_is_dropped_with_its_index(program: Program, owner: psycopg.Connection, as_worker: Working) -> None:
    since(program, "alice", 400)
    stored(owner, program, "alice", 366, 0)
    day = f"event_{(now() - timedelta(366)).date():%Y%m%d}"
    assert day in attached(owner)
    purge(program, as_worker)
    assert day not in days_held(owner)
    assert everywhere(owner)


def test_a_window_of_time_reads_no_day_from_end_to_end(program: Program, owner: psycopg.Connection) -> None:
    day = now().date() - timedelta(2)
    ensure(owner, *(day + timedelta(n) for n in range(-5, 3)))
    owner.execute(RECEIVED, {"day": day, "program": program.id, "events": 20_000})
    owner.execute(f"VACUUM ANALYZE event_{day:%Y%m%d}")
    noon = now().replace(hour=12, minute=0, second=0, microsecond=0) - timedelta(2)
    asked: list[tuple[str, Any]] = []

    def noting(execute: Any, sql: str, parameters: Any, many: bool, context: Any) -> Any:
        asked.append((sql, parameters))
        return execute(sql, parameters, many, context)

    breach = OfTime(noon, noon + timedelta(hours=1))
    with (
        connection.execute_wrapper(noting),
        find(program_id=program.id, breach=breach, by="tester", seconds=0) as found,
    ):
        list(found)
    statement, parameters = next((sql, parameters) for sql, parameters in asked if "FROM event" in sql)
    with tenant(program.id), connection.cursor() as cursor:
        cursor.execute(f"EXPLAIN {statement}", parameters)
        plan = "\n".join(row[0] for row in cursor.fetchall())
    assert f"Bitmap Index Scan on event_{day:%Y%m%d}_received_at_idx" in plan
    assert f"Seq Scan on event_{day:%Y%m%d}" not in plan
