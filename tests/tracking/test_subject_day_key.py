"""The key of a subject's days: with their mini-program, in either direction of its migration, and again after a broken one."""

import os
from importlib import import_module

import psycopg

from tests.cast import Program, event, now

changed = import_module("tracking.migrations.0016_subject_day_key").changed
KEY = "SELECT pg_get_constraintdef(oid) FROM pg_constraint WHERE conname = 'subject_day_pkey' AND contype = 'p'"
WHOSE = "EXPLAIN (COSTS off) SELECT day FROM subject_day WHERE subject_id = 1 AND program_id = 1 ORDER BY day LIMIT 1"


def test_a_subjects_days_are_told_by_the_key_alone(owner: psycopg.Connection) -> None:
    owner.execute("SET enable_seqscan = off; SET enable_bitmapscan = off")
    assert "Index Only Scan using subject_day_pkey" in str(owner.execute(WHOSE).fetchall())


def test_there_and_back_and_again(program: Program, owner: psycopg.Connection) -> None:
    program.decide("alice")
    program.send(event("alice", "e1", now()))
    days = owner.execute("SELECT * FROM subject_day").fetchall()
    assert len(days) == 1
    with psycopg.connect(os.environ["DATABASE_OWNER_URL"], autocommit=True) as migrating:
        for key in ("(subject_id, day)", "(subject_id, day) INCLUDE (program_id)"):
            for _ in range(2):
                # What was broken off before the keys changed places.
                migrating.execute(changed(key)[2].encode())
                for statement in changed(key):
                    migrating.execute(statement.encode())
                found = owner.execute(KEY).fetchone()
                assert found == (f"PRIMARY KEY {key}",)
    assert owner.execute("SELECT * FROM subject_day").fetchall() == days
    program.send(event("alice", "e2", now()))
    assert owner.execute("SELECT * FROM subject_day").fetchall() == days, "a day is told once"
