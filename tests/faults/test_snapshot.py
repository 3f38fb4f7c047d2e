"""The disk of PostgreSQL goes back to how it was a moment ago, as with a snapshot of a volume or a standby that was behind."""

import os
import shutil
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psycopg
import pytest
from django.db import connection

from config.postgres import Postgres
from consent.journal import service
from consent.journal.service import Standing
from tests import stack
from tests.cast import Program
from tests.consent.journals import Journal, withdrawal
from tests.consent.journals import journal as journal
from tests.consent.journals import looked_at_anew as looked_at_anew
from tests.consent.rights import file


@contextmanager
def standing_still(owner: psycopg.Connection, postgres: Postgres) -> Iterator[None]:
    """Nothing of the server runs, so that a copy of its files is of one moment."""
    assert postgres.process is not None
    pids = [postgres.process.pid, *(row[0] for row in owner.execute("SELECT pid FROM pg_stat_activity").fetchall())]
    for pid in pids:
        os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        for pid in pids:
            os.kill(pid, signal.SIGCONT)


@contextmanager
def gone_back(postgres: Postgres, snapshot: Path) -> Iterator[None]:
    """In the block the server runs on the snapshot, which it has recovered from the write-ahead log."""
    now = postgres.folder.with_name("data.now")
    connection.close()
    postgres.stop()
    postgres.folder.rename(now)
    snapshot.rename(postgres.folder)
    try:
        postgres.start()
        yield
    finally:
        connection.close()
        postgres.stop()
        if now.exists():
            shutil.rmtree(postgres.folder)
            now.rename(postgres.folder)
        postgres.start()


@pytest.mark.long
def test_a_snapshot_that_lacks_one_act_is_found(program: Program, journal: Journal, owner: psycopg.Connection) -> None:
    """A recovery sets the sequence of the numbers further than the act that was lost."""
    if stack.services is None:
        pytest.skip("only the embedded PostgreSQL is taken back")
    postgres = stack.services.postgres
    program.decide("alice")
    program.decide("bob")
    file(program, "restriction", "bob")
    snapshot = postgres.folder.with_name("data.snapshot")
    shutil.rmtree(snapshot, ignore_errors=True)
    with standing_still(owner, postgres):
        subprocess.run(["cp", "--archive", postgres.folder, snapshot], check=True)
    assert program.post("consents", withdrawal()).status_code == 201
    last = journal.lines()[-1]["number"]
    assert service.standing() == Standing.IN_SERVICE
    owner.close()
    with gone_back(postgres, snapshot):
        with psycopg.connect(os.environ["DATABASE_OWNER_URL"]) as restored:
            found = restored.execute("SELECT last_value FROM journal_number").fetchone()
        assert found is not None and found[0] > last, "the recovery has set it further"
        assert service.standing() == Standing.RESTORED
    assert service.standing() == Standing.IN_SERVICE
