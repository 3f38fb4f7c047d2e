"""verify_ledger where several processes open the leaves: they find what one finds, see what it sees, and may be ended."""

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psycopg
import pytest
from django.core.management import CommandError, call_command
from django.db import connection

from consent.ledger import beside, findings
from consent.programs.tenancy import exported, snapshot_of_all, tenant
from consent.records.models import ConsentRecord
from tests.cast import Program
from tests.faults.serving import wait_for
from tests.ledger.logged import Working, run
from tests.ledger.verifying import place_of, verify
from tests.stack import manage

SEVERAL = ("--processes", "3")
ALONE = ("--processes", "1")
PARENT = """
import os, time
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from consent.ledger.process import begin
print(ProcessPoolExecutor(1, get_context("spawn"), initializer=begin).submit(os.getpid).result(), flush=True)
time.sleep(60)
"""


@pytest.fixture(autouse=True)
def few(monkeypatch: pytest.MonkeyPatch) -> None:
    """No leaves are too few for another process."""
    monkeypatch.setattr(beside, "AT_LEAST", 1)


def test_they_find_what_one_finds(
    other: Program, log: int, folder: Path, program: Program, owner: psycopg.Connection, as_worker: Working
) -> None:
    # `other` comes before the log: its copied entries have no leaf, and are not later than the first checkpoint.
    for number in range(6):
        program.decide(f"more-{number}")
        other.decide(f"theirs-{number}")
    run(as_worker)
    assert verify(folder, *SEVERAL) == verify(folder, *ALONE)
    changed, gone, without, flipped = (place_of(owner, number)[1] for number in (0, 3, 6, 9))
    owner.execute("UPDATE consent_record SET locale = 'zh-Hanz' WHERE leaf_id = %s", [changed])
    owner.execute("DELETE FROM consent_record WHERE leaf_id = %s", [gone])
    owner.execute("DELETE FROM leaf WHERE id = %s", [without])
    owner.execute("UPDATE leaf SET hash = sha256(hash) WHERE id = %s", [flipped])
    owner.execute("UPDATE audit_entry SET actor = 'nobody' WHERE id = (SELECT max(id) FROM audit_entry)")
    alone = verify(folder, *ALONE, code=1)
    assert {one["fault"] for one in alone["findings"]} >= {
        "record_changed", "record_gone", "record_without_leaf", "leaf_changed", "leaf_gone",
    }  # fmt: skip
    assert verify(folder, *SEVERAL, code=1) == alone


def test_what_they_find_is_counted_where_it_is_not_told(
    log: int, folder: Path, owner: psycopg.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(findings, "MOST", 2)
    owner.execute("UPDATE consent_record SET locale = 'zh-Hanz'")
    (count,) = owner.execute("SELECT count(*) FROM consent_record").fetchone() or (0,)
    found = verify(folder, *SEVERAL, code=1)
    assert (len(found["findings"]), found["findings_count"]) == (2, count)


def test_of_each_fault_some_are_told_however_many_there_are_of_another(
    log: int, folder: Path, owner: psycopg.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(findings, "MOST", 1)
    owner.execute("DELETE FROM log_node")
    owner.execute("UPDATE consent_record SET locale = 'zh-Hanz'")
    told = [one["fault"] for one in verify(folder, *SEVERAL, code=1)["findings"]]
    assert told == ["tree_changed", "record_changed"]


def test_they_are_asked_where_there_are_enough_leaves(
    log: int, folder: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    """A process that ends says so: no log has held."""
    monkeypatch.setattr(beside, "_opened", ended)
    assert verify(folder, *SEVERAL, code=2) is None
    monkeypatch.setattr(beside, "AT_LEAST", 50_000)
    assert verify(folder, *SEVERAL)["holds"]


def ended(*_: Any) -> None:
    os._exit(9)


def test_a_database_that_does_not_answer_is_no_finding(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DATABASE_URL", "postgresql://none@/none?host=/nonexistent")
    with pytest.raises(RuntimeError, match="verify_ledger exited 2"):
        manage("verify_ledger", role="application")


def test_they_end_with_who_asked_them() -> None:
    with subprocess.Popen([sys.executable, "-c", PARENT], stdout=subprocess.PIPE, text=True) as parent:
        assert parent.stdout is not None
        child = int(parent.stdout.readline())
        assert running(child)
        parent.send_signal(signal.SIGKILL)
    wait_for("the process to end", lambda: not running(child), 10)


def running(pid: int) -> bool:
    try:
        return ") Z " not in Path(f"/proc/{pid}/stat").read_text()
    except FileNotFoundError:
        return False


def test_another_process_sees_the_same_snapshot(program: Program) -> None:
    """A connection is a thread's own, as it is a process's."""
    program.decide("ann")
    seen: list[int] = []

    def look(name: str | None) -> None:
        with snapshot_of_all(lasting=True, of=name), tenant(program.id):
            seen.append(ConsentRecord.objects.count())

    with snapshot_of_all():
        name = exported()
        elsewhere(lambda: look(name))
        elsewhere(lambda: program.decide("bob"))
        elsewhere(lambda: look(name))
        elsewhere(lambda: look(None))
    assert seen[0] == seen[1] < seen[2]


def elsewhere(what: Callable[[], object]) -> None:
    def done() -> None:
        try:
            what()
        finally:
            connection.close()

    thread = threading.Thread(target=done)
    thread.start()
    thread.join()


@pytest.mark.parametrize("number", ["0", "65", "many"])
def test_a_number_that_is_none_is_refused(number: str) -> None:
    with pytest.raises(CommandError, match="1 to 64"):
        call_command("verify_ledger", f"--processes={number}")
