"""verify_ledger where several processes open the leaves: they find what one finds, see what it sees, and may be ended."""

import os
import threading
from pathlib import Path
from typing import Any

import psycopg
import pytest
from django.core.management import CommandError, call_command

from consent.ledger import beside
from consent.programs.tenancy import exported, snapshot_of_all, tenant
from consent.records.models import ConsentRecord
from tests.cast import Program
from tests.ledger.verifying import faults, place_of, verify

SEVERAL = ("--processes", "3")


def test_they_find_what_one_finds(log: int, folder: Path, owner: psycopg.Connection) -> None:
    assert verify(folder, *SEVERAL) == verify(folder, "--processes", "1")
    for number in (0, 4):
        _, leaf_id = place_of(owner, number)
        owner.execute("UPDATE consent_record SET locale = 'zh-Hanz' WHERE leaf_id = %s", [leaf_id])
    alone = verify(folder, "--processes", "1", code=1)
    assert [one["fault"] for one in alone["findings"]] == ["record_changed"] * 2
    assert verify(folder, *SEVERAL, code=1) == alone
    assert len(faults(folder)) == 2


def test_they_are_asked_for_each_part(log: int, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is small enough is done without them, and what is not by them: a process that ends says so, and no log has held."""
    monkeypatch.setattr(beside, "_opened", ended)
    assert verify(folder)["holds"]
    assert verify(folder, *SEVERAL, code=2) is None


def ended(*_: Any) -> None:
    os._exit(9)


def test_another_process_sees_the_same_snapshot(program: Program) -> None:
    program.decide("ann")
    seen: list[int] = []

    def look(name: str | None) -> None:
        with snapshot_of_all(lasting=True, of=name), tenant(program.id):
            seen.append(ConsentRecord.objects.count())

    def beside_this(name: str | None) -> None:
        thread = threading.Thread(target=look, args=[name])
        thread.start()
        thread.join()

    with snapshot_of_all():
        name = exported()
        beside_this(name)
        deciding = threading.Thread(target=program.decide, args=["bob"])
        deciding.start()
        deciding.join()
        beside_this(name)
        beside_this(None)
    assert seen[0] == seen[1] < seen[2]


@pytest.mark.parametrize("number", ["0", "65", "many"])
def test_a_number_that_is_none_is_refused(number: str) -> None:
    with pytest.raises(CommandError, match="1 to 64"):
        call_command("verify_ledger", f"--processes={number}")
