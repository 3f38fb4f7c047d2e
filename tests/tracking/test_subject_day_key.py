"""The key of a subject's days: with their mini-program, in either direction of its migration, and again after a broken one."""

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from importlib import import_module
from typing import Any

import psycopg
import pytest

from tests.cast import Program, event, now
from tests.migrating import run, until

migration = import_module("tracking.migrations.0016_subject_day_key")
with_program = migration.keyed_by(migration.ONE_MORE, 3)
without_program = migration.keyed_by(migration.ONE, 2)
Step = Callable[[Any, Any], None]

KEY = "SELECT pg_get_constraintdef(oid) FROM pg_constraint WHERE conname = 'subject_day_pkey' AND contype = 'p'"
FILE = "SELECT pg_relation_filenode('subject_day_pkey')"
WHOSE = "EXPLAIN (COSTS off) SELECT day FROM subject_day WHERE subject_id = 1 AND program_id = 1 ORDER BY day LIMIT 1"


@pytest.fixture
def owner(database: None, owner: psycopg.Connection) -> Iterator[psycopg.Connection]:
    yield owner
    run(with_program)


def key(owner: psycopg.Connection) -> str:
    found = owner.execute(KEY).fetchone()
    assert found, "a subject's days have no key"
    return str(found[0]).removeprefix("PRIMARY KEY ")


def beside(owner: psycopg.Connection) -> bool:
    """Whether a key is left that did not take its place."""
    return owner.execute("SELECT to_regclass(%s) IS NOT NULL", [migration.NAME]).fetchone() == (True,)


def test_a_subjects_days_are_told_by_the_key_alone(owner: psycopg.Connection) -> None:
    owner.execute("SET enable_seqscan = off; SET enable_bitmapscan = off")
    assert "Index Only Scan using subject_day_pkey" in str(owner.execute(WHOSE).fetchall())


def test_there_and_back_and_again(program: Program, owner: psycopg.Connection) -> None:
    program.decide("alice")
    program.send(event("alice", "e1", now()))
    days = owner.execute("SELECT * FROM subject_day").fetchall()
    assert len(days) == 1
    for step, columns in ((without_program, migration.ONE), (with_program, migration.ONE_MORE)):
        for _ in range(2):
            run(step)
            assert key(owner) == columns
            assert not beside(owner)
    assert owner.execute("SELECT * FROM subject_day").fetchall() == days
    program.send(event("alice", "e2", now()))
    assert owner.execute("SELECT * FROM subject_day").fetchall() == days, "a day is told once"


def test_a_key_that_is_there_is_not_built_anew(owner: psycopg.Connection) -> None:
    built = owner.execute(FILE).fetchone()
    run(with_program)
    assert owner.execute(FILE).fetchone() == built


def test_a_whole_key_that_found_no_moment_is_taken(owner: psycopg.Connection) -> None:
    run(without_program)
    owner.execute(f"CREATE UNIQUE INDEX {migration.NAME} ON subject_day {migration.ONE_MORE}")
    built = owner.execute("SELECT pg_relation_filenode(%s::regclass)", [migration.NAME]).fetchone()
    run(with_program)
    assert key(owner) == migration.ONE_MORE
    assert owner.execute(FILE).fetchone() == built


@pytest.mark.parametrize("left", ["broken", "of the other way"])
def test_what_a_build_left_is_dropped(owner: psycopg.Connection, left: str) -> None:
    run(without_program)
    if left == "broken":
        with psycopg.connect(owner.info.dsn, password=owner.info.password) as writing:
            writing.execute("LOCK TABLE subject_day IN ROW EXCLUSIVE MODE")
            owner.execute("SET lock_timeout = '50ms'")
            with pytest.raises(psycopg.errors.LockNotAvailable):
                owner.execute(f"CREATE UNIQUE INDEX CONCURRENTLY {migration.NAME} ON subject_day {migration.ONE_MORE}")
            owner.execute("RESET lock_timeout")
    else:
        owner.execute(f"CREATE UNIQUE INDEX {migration.NAME} ON subject_day {migration.ONE}")
    assert beside(owner)
    run(with_program)
    assert key(owner) == migration.ONE_MORE
    assert not beside(owner)


def test_events_come_while_it_waits_and_wait_for_it_no_longer_than_half_a_second(
    program: Program, owner: psycopg.Connection
) -> None:
    program.decide("alice")
    run(without_program)
    with ThreadPoolExecutor(1) as thread:
        with psycopg.connect(owner.info.dsn, password=owner.info.password) as reading:
            reading.execute("SELECT FROM subject_day")
            changing = thread.submit(run, with_program)
            until(owner, "ALTER TABLE subject_day")
            assert program.send(event("alice", "e1"))["stored"] == 1
            until(owner, "ALTER TABLE subject_day", waits=False)
        changing.result()
    assert key(owner) == migration.ONE_MORE
