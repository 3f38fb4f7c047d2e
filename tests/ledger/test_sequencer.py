"""Leaves get their places: all of them, once, whatever is open beside the sequencer, and whatever becomes of it."""

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise

import psycopg
import pytest
from django.db import DatabaseError, connection, transaction

from config.settings import BASE_DIR
from consent.ledger import log
from consent.ledger.models import LogCheckpoint
from consent.programs.tenancy import as_ledger
from tests.cast import Program, now
from tests.consent.signed import Ring
from tests.ledger.logged import Working, head, included, leaves, placed, receipt, rows, run

LOG = ("log_origin", "log_leaf", "log_node", "log_statement", "log_checkpoint", "log_publication")
LEAF = "INSERT INTO leaf (program_id, type, hash, subject_version) VALUES (%s, 1, sha256(%s), 1) RETURNING id"


@contextlib.contextmanager
def another() -> Iterator[psycopg.Connection]:
    """A session of the owner's in a transaction of its own."""
    with psycopg.connect(os.environ["DATABASE_OWNER_URL"]) as connected:
        yield connected
        connected.rollback()


def test_every_leaf_gets_the_next_place_and_a_checkpoint_signs_them(
    program: Program, owner: psycopg.Connection, as_worker: Working
) -> None:
    program.decide("alice")
    program.decide("bob", "refused")
    run(as_worker)
    assert placed(owner) == leaves(owner)
    assert [index for index, _ in rows(owner)] == list(range(len(rows(owner))))
    newest = LogCheckpoint.objects.get()
    assert head(newest.note).size == newest.size == len(rows(owner))
    assert head(newest.note).origin == "zhiqing.invalid/ledger"
    assert head(newest.note).at == newest.at
    assert (newest.at.second, newest.at.microsecond) == (0, 0)


def test_a_run_without_new_leaves_signs_nothing(program: Program, as_worker: Working) -> None:
    program.decide("alice")
    run(as_worker)
    run(as_worker)
    assert LogCheckpoint.objects.count() == 1


def test_later_runs_go_on_from_the_stored_hashes(
    program: Program, owner: psycopg.Connection, as_worker: Working
) -> None:
    for number in range(9):
        program.decide(f"person-{number}")
        run(as_worker)
    sizes = list(LogCheckpoint.objects.order_by("size").values_list("size", flat=True))
    assert all(before < after for before, after in pairwise(sizes))
    for one in LogCheckpoint.objects.all():
        assert log.root_at(1, one.size) == bytes(one.root) == head(one.note).root


def test_of_one_subject_the_order_of_decisions_is_kept(
    program: Program, owner: psycopg.Connection, as_worker: Working
) -> None:
    records = [
        program.decide("alice", decision)["records"][0]["record_id"] for decision in ("given", "withdrawn", "given")
    ]
    run(as_worker)
    places = [receipt(program, record)["inclusion"]["index"] for record in records]
    assert places == sorted(places)


# --- What is open beside it ------------------------------------------------------------------------------------------


def test_an_idle_transaction_neither_stalls_it_nor_loses_its_leaf(
    program: Program, owner: psycopg.Connection, as_worker: Working
) -> None:
    with another() as idle:
        row = idle.execute(LEAF, [program.id, b"idle"]).fetchone()
        assert row is not None
        program.decide("alice")
        began = time.monotonic()
        run(as_worker)
        assert time.monotonic() - began < 5
        assert row[0] not in placed(owner)
        assert placed(owner) == leaves(owner)
        idle.commit()
    run(as_worker)
    assert row[0] in placed(owner)
    assert placed(owner) == leaves(owner)


def test_a_prepared_transaction_neither_stalls_it_nor_loses_its_leaf(
    program: Program, owner: psycopg.Connection, as_worker: Working
) -> None:
    """Its transaction id stays the oldest there is; nothing is asked of it."""
    if owner.execute("SHOW max_prepared_transactions").fetchone() == ("0",):
        pytest.skip("this server takes no prepared transactions")
    with another() as preparing:
        row = preparing.execute(LEAF, [program.id, b"prepared"]).fetchone()
        preparing.execute("PREPARE TRANSACTION 'ledger'")
    assert row is not None
    try:
        for number in range(3):
            program.decide(f"person-{number}")
            run(as_worker)
        assert placed(owner) == leaves(owner)
        assert row[0] not in placed(owner)
    finally:
        owner.execute("COMMIT PREPARED 'ledger'")
    run(as_worker)
    assert row[0] in placed(owner)
    assert placed(owner) == leaves(owner)


def test_what_is_rolled_back_leaves_no_gap_and_stalls_nothing(
    program: Program, owner: psycopg.Connection, as_worker: Working
) -> None:
    with another() as failing:
        failing.execute(LEAF, [program.id, b"failing"])
        failing.rollback()
    program.decide("alice")
    run(as_worker)
    assert placed(owner) == leaves(owner)
    assert [index for index, _ in rows(owner)] == list(range(len(rows(owner))))


def test_a_second_run_beside_one_does_nothing(program: Program, owner: psycopg.Connection, as_worker: Working) -> None:
    program.decide("alice")
    with another() as holding:
        holding.execute("SELECT pg_advisory_xact_lock(hashtextextended('ledger', 0))")
        run(as_worker)
        assert rows(owner) == []
    run(as_worker)
    assert placed(owner) == leaves(owner)


KILLED = """
import os, signal, django
django.setup()
from consent.ledger import sequencer, tasks
sign = sequencer._sign
def stop(*given):
    done = sign(*given)
    print("signed", flush=True)
    signal.pause()
sequencer._sign = stop
tasks.run()
"""


def test_a_killed_run_leaves_nothing_and_the_next_one_takes_all(
    program: Program, owner: psycopg.Connection, as_worker: Working
) -> None:
    """Killed at its last step before the commit: the lock ends with it, and so does all that it wrote."""
    program.decide("alice")
    process = subprocess.Popen(
        [sys.executable, "-c", KILLED],
        env={**os.environ, "ZHIQING_ROLE": "worker"},
        cwd=BASE_DIR,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    try:
        assert process.stdout.readline() == "signed\n"
    finally:
        process.send_signal(signal.SIGKILL)
        process.wait()
    assert rows(owner) == []
    late = time.monotonic() + 30
    while rows(owner) == [] and time.monotonic() < late:
        run(as_worker)
    assert placed(owner) == leaves(owner)
    assert [index for index, _ in rows(owner)] == list(range(len(rows(owner))))


def test_writers_beside_it_lose_nothing(program: Program, owner: psycopg.Connection, as_worker: Working) -> None:
    """Real concurrency: writers commit in any order while runs follow each other."""

    def write(number: int) -> None:
        with psycopg.connect(os.environ["DATABASE_OWNER_URL"]) as writing:
            for count in range(20):
                writing.execute(LEAF, [program.id, f"{number}/{count}".encode()])
                time.sleep(0.001 * (number % 3))
                writing.commit()

    with ThreadPoolExecutor(4) as pool:
        writers = [pool.submit(write, number) for number in range(4)]
        while not all(one.done() for one in writers):
            run(as_worker)
        for one in writers:
            one.result()
    run(as_worker)
    assert placed(owner) == leaves(owner)
    assert len(placed(owner)) >= 80
    assert [index for index, _ in rows(owner)] == list(range(len(rows(owner))))
    newest = LogCheckpoint.objects.order_by("-size")[0]
    assert newest.size == len(rows(owner))
    assert owner.execute("SELECT count(*) FROM leaf_waiting").fetchone() == (0,)


# --- Who may -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("table", [*LOG, "leaf"])
@pytest.mark.parametrize("statement", ["UPDATE {0} SET {1} = {1}", "DELETE FROM {0}", "TRUNCATE {0}"])
def test_nothing_of_it_is_changed_by_the_application_or_the_sequencer(
    program: Program, as_worker: Working, table: str, statement: str
) -> None:
    column = {"log_origin": "name", "log_publication": "at", "log_checkpoint": "note", "log_statement": "content"}
    asked = statement.format(table, column.get(table, "hash"))
    with pytest.raises(DatabaseError, match="permission denied"), transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(asked)
    with as_worker():
        with (
            pytest.raises(DatabaseError, match="permission denied"),
            transaction.atomic(),
            connection.cursor() as cursor,
        ):
            cursor.execute(asked)
        with pytest.raises(DatabaseError, match="permission denied"), as_ledger(), connection.cursor() as cursor:
            cursor.execute(asked)


@pytest.mark.parametrize("table", ["consent_record", "audit_entry", "account_entry"])
@pytest.mark.parametrize("statement", ["UPDATE {0} SET salt = salt", "DELETE FROM {0}", "TRUNCATE {0}"])
def test_what_leaves_commit_to_is_not_changed_by_the_application(program: Program, table: str, statement: str) -> None:
    with pytest.raises(DatabaseError, match="permission denied"), transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(statement.format(table))


def denied_to_both(as_worker: Working, statement: str) -> None:
    """To the web's login and to the worker's."""
    for working in (contextlib.nullcontext, as_worker):
        with (
            working(),
            pytest.raises(DatabaseError, match="permission denied"),
            transaction.atomic(),
            connection.cursor() as cursor,
        ):
            cursor.execute(statement)


@pytest.mark.parametrize("table", LOG)
def test_only_the_sequencer_writes_the_log(program: Program, as_worker: Working, table: str) -> None:
    denied_to_both(as_worker, f"INSERT INTO {table} SELECT * FROM {table}")


def test_the_web_login_cannot_be_the_sequencer(program: Program) -> None:
    with pytest.raises(DatabaseError, match="permission denied"), as_ledger():
        pass


@pytest.mark.parametrize("table", ["consent_record", "audit_entry", "subject", "event"])
def test_the_sequencer_reads_no_record(program: Program, as_worker: Working, table: str) -> None:
    with (
        as_worker(),
        pytest.raises(DatabaseError, match="permission denied"),
        as_ledger(),
        connection.cursor() as cursor,
    ):
        cursor.execute(f"SELECT count(*) FROM {table}")


def test_only_who_erases_says_that_a_leafs_record_was_erased(program: Program, as_worker: Working) -> None:
    """The log would list it for good, and nobody could change that."""
    denied_to_both(as_worker, "INSERT INTO leaf_redacted (leaf_id) VALUES (1)")


def test_the_application_cannot_take_a_leaf_out_of_the_queue(program: Program) -> None:
    program.decide("alice")
    with pytest.raises(DatabaseError, match="permission denied"), transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("DELETE FROM leaf_waiting")


# --- Proofs ------------------------------------------------------------------------------------------------------------


def test_a_receipt_has_no_proof_until_its_record_is_in_a_checkpoint(program: Program, as_worker: Working) -> None:
    record_id = program.decide("alice")["records"][0]["record_id"]
    response = program.get(f"receipts/{record_id}")
    assert (response.json()["inclusion"], response.json()["checkpoint"]) == (None, None)
    assert response["Retry-After"] == "10"
    run(as_worker)
    response = program.get(f"receipts/{record_id}")
    assert "Retry-After" not in response
    included(response.json())


def test_without_a_signing_key_leaves_get_places_and_the_checkpoint_comes_with_the_key(
    own_ring: Ring, program: Program, owner: psycopg.Connection, as_worker: Working
) -> None:
    own_ring.change(lambda content: content.pop("signing"))
    record_id = program.decide("alice")["records"][0]["record_id"]
    run(as_worker)
    assert placed(owner) == leaves(owner)
    assert receipt(program, record_id)["inclusion"] is None
    own_ring.rotate(now())
    run(as_worker)
    included(receipt(program, record_id))
