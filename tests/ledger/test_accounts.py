"""Entries of the log of accounts have leaves, which are no mini-program's: each is opened, changed and missed as an audit entry is."""

import json
import re
from collections.abc import Callable
from contextlib import AbstractContextManager
from datetime import timedelta
from html import unescape
from pathlib import Path
from typing import Any

import psycopg
import pytest
from django.db import DatabaseError

from consent.admin.tenancy import session_tenant
from consent.ledger import tree
from consent.ledger.audit import audit
from consent.ledger.leaves import LeafType, leaf_hash
from consent.ledger.models import Leaf
from consent.officers import accounts
from consent.programs.tenancy import of_no_program, tenant
from tests.cast import Program
from tests.consent.desk import Desk, holder
from tests.ledger.logged import Working, decoded, head, leaves, placed, run
from tests.ledger.verifying import faults, later, verify


def entry() -> int:
    roles = {"roles": ("officer", "审计"), "left": {1: None}}
    return accounts.record(actor="officer:5", action="account.made", account="officer:6", details=roles)


@pytest.fixture
def entry_id(log: int, as_worker: Working) -> int:
    """Of an entry in its place; the log is in order, and published."""
    made = entry()
    run(as_worker)
    return made


# --- Each way to tamper ------------------------------------------------------------------------------------------------


def test_what_is_in_order_holds(entry_id: int, folder: Path, owner: psycopg.Connection) -> None:
    assert placed(owner) == leaves(owner)
    made = owner.execute("SELECT type, program_id FROM leaf JOIN account_entry e ON e.leaf_id = leaf.id").fetchall()
    assert made == [(LeafType.AUDIT_ENTRY, None)]
    before = verify(folder)["opened"]
    entry()
    assert verify(folder)["opened"] == before + 1, "also before it has its place"


@pytest.mark.parametrize("column", ["actor", "action", "account", "details", "at", "salt"])
def test_a_flipped_byte_in_an_entry(entry_id: int, folder: Path, owner: psycopg.Connection, column: str) -> None:
    value = {
        "details": """details || '{"superuser": true}'""",
        "at": "at + interval '1 microsecond'",
        "salt": "set_byte(salt, 31, get_byte(salt, 31) # 1)",
    }.get(column, "'officer:9'")
    owner.execute(f"UPDATE account_entry SET {column} = {value} WHERE id = %s".encode(), [entry_id])
    ((fault, row, _),) = faults(folder)
    assert (fault, row.partition(" of ")[0]) == ("record_changed", f"account_entry {entry_id}")


@pytest.mark.parametrize("erased", [False, True])
def test_a_deleted_entry(entry_id: int, folder: Path, owner: psycopg.Connection, erased: bool) -> None:
    """Also as if it had been erased: no entry ever is."""
    if erased:
        owner.execute("INSERT INTO leaf_redacted (leaf_id) SELECT leaf_id FROM account_entry")
    owner.execute("DELETE FROM account_entry")
    assert [fault for fault, _, _ in faults(folder)] == ["record_gone"]


def test_a_deleted_entry_with_its_leaf(entry_id: int, folder: Path, owner: psycopg.Connection) -> None:
    owner.execute("DELETE FROM account_entry")
    owner.execute("DELETE FROM leaf WHERE program_id IS NULL")
    assert [fault for fault, _, _ in faults(folder)] == ["leaf_gone"]


def test_an_entry_put_beside_the_log(entry_id: int, folder: Path, owner: psycopg.Connection) -> None:
    owner.execute("UPDATE account_entry SET leaf_id = 999999999")
    assert [fault for fault, _, _ in faults(folder)] == ["record_gone", "record_without_leaf"]


def leafless(owner: psycopg.Connection, past: str, number: int | None = None) -> int:
    """An entry that is written beside the log; answers its number."""
    row = owner.execute(
        "INSERT INTO account_entry (id, actor, action, account, details, at) VALUES"
        " (coalesce(%s, nextval(pg_get_serial_sequence('account_entry', 'id'))), 'officer:1', 'x', '', '{}', now() + %s::interval)"
        " RETURNING id",
        [number, past],
    ).fetchone()
    assert row is not None
    return int(row[0])


def test_an_entry_without_a_leaf_is_from_before_any_had_one(
    log: int, folder: Path, owner: psycopg.Connection, as_worker: Working
) -> None:
    """It is suspected by its time, or by its number. An upgrade finds a log that goes on, and entries later than its beginning."""
    leafless(owner, "-1 minute")
    assert verify(folder)["holds"]
    entry()
    run(as_worker)
    leafless(owner, "-1 year", number=-1)
    assert verify(folder)["holds"], "they are from before such entries had leaves"
    late = [leafless(owner, "2 minutes", number=-2), leafless(owner, "-1 year")]
    assert faults(folder) == [("record_without_leaf", f"account_entry {number}", None) for number in late]


def test_a_back_dated_entry(program: Program, folder: Path, owner: psycopg.Connection, as_worker: Working) -> None:
    """Of an entry that says it was written three hours before a checkpoint that has it not."""
    program.decide("alice")
    later(as_worker, timedelta(hours=3))
    made = entry()
    run(as_worker)
    ((fault, row, since),) = faults(folder)
    assert (fault, row.partition(" of ")[0]) == ("late", f"account_entry {made}")
    assert since == verify(folder, code=1)["logs"][0]["leaves"] - 1


def test_an_entry_passes_for_none_of_a_mini_programs(
    entry_id: int, folder: Path, program: Program, owner: psycopg.Connection
) -> None:
    """Nor does its leaf, moved to where the entry is."""
    owner.execute(
        "INSERT INTO audit_entry (id, program_id, actor, action, target, details, at, leaf_id, salt)"
        " SELECT id, %s, actor, action, account, details, at, leaf_id, salt FROM account_entry",
        [program.id],
    )
    owner.execute("UPDATE leaf SET program_id = %s WHERE program_id IS NULL", [program.id])
    owner.execute("DELETE FROM account_entry")
    found = [(fault, row.partition(" of ")[0]) for fault, row, _ in faults(folder)]
    assert ("record_changed", f"audit_entry {entry_id}") in found


# --- Whose they are ----------------------------------------------------------------------------------------------------


def test_a_mini_program_has_none_of_it(program: Program) -> None:
    entry()
    with tenant(program.id):
        assert not Leaf.objects.filter(program=None).exists()
    with of_no_program():
        assert Leaf.objects.get().program_id is None, "and nobody has a mini-program's there"
    for owned, under in ((None, tenant(program.id)), (program.id, of_no_program())):
        with pytest.raises(DatabaseError, match="row-level security"), under:
            Leaf.objects.create(program_id=owned, type=LeafType.AUDIT_ENTRY, hash=bytes(32), subject_version=0)


@pytest.mark.parametrize("under", [tenant, session_tenant])
def test_who_works_in_a_mini_program_goes_on_there(
    program: Program, under: Callable[[int], AbstractContextManager[None]]
) -> None:
    """An administrator who has picked one at the desk, and changes an account."""
    with under(program.id):
        entry()
        audit(program_id=program.id, actor="officer:5", action="x", target="officer:6")
        assert Leaf.objects.get().program_id == program.id


# --- What officers see -------------------------------------------------------------------------------------------------


def page(desk: Desk, number: int) -> str:
    response = desk.get(f"consent/accountentry/{number}/change/")
    assert response.status_code == 200, response
    text: str = response.content.decode()
    return text


@pytest.mark.parametrize(
    ("language", "titles"), [("en", ("In the log", "Proof", "None yet")), ("zh-hans", ("在账本中", "证明", "尚无"))]
)
def test_an_entrys_page_has_what_opens_its_leaf_and_proves_that_it_is_in_the_log(
    program: Program, as_worker: Working, language: str, titles: tuple[str, str, str]
) -> None:
    number, desk = entry(), holder("administrator")
    desk.client.cookies["django_language"] = language
    before = page(desk, number)
    assert all(title in before for title in titles) and '<pre class="proof">' not in before
    run(as_worker)
    (text,) = re.findall(r'<pre class="proof">(.*?)</pre>', page(desk, number), re.DOTALL)
    shown: Any = json.loads(unescape(text))
    salt, told, proof = decoded(shown["opening"]["salt"]), shown["opening"]["entry"], shown["inclusion"]
    assert (told["entry"], told["account"], told["program"]) == (number, "officer:6", None)
    leaf, found = leaf_hash(LeafType.AUDIT_ENTRY, salt, told), head(shown["checkpoint"])
    assert decoded(proof["leaf"]) == leaf
    assert tree.includes(found.root, found.size, proof["index"], leaf, [decoded(step) for step in proof["path"]])


def test_an_entry_from_before_says_so(program: Program, owner: psycopg.Connection) -> None:
    assert "from before entries had leaves" in page(holder("administrator"), leafless(owner, "-1 year"))
