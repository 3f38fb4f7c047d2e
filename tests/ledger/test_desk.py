"""What officers see of the log: the proof of an entry, and how it stands on their first page."""

import json
import re
from html import unescape
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import psycopg
import pytest

from consent.ledger import tree
from consent.ledger.leaves import LeafType, leaf_hash
from consent.ledger.models import AuditEntry, LogCheckpoint
from consent.programs.tenancy import tenant
from tests.cast import Program
from tests.consent.desk import Desk, officer
from tests.consent.test_home import told
from tests.ledger.logged import Working, decoded, head, run


@pytest.fixture
def desk(program: Program) -> Desk:
    return officer("grace", program).enter(program)


def page(desk: Desk, entry_id: int) -> str:
    response = desk.get(f"consent/auditentry/{entry_id}/change/")
    assert response.status_code == 200, response
    text: str = response.content.decode()
    return text


def entry(program: Program) -> int:
    with tenant(program.id):
        return int(AuditEntry.objects.order_by("-id")[0].pk)


def test_an_entrys_page_has_what_opens_its_leaf_and_proves_that_it_is_in_the_log(
    program: Program, desk: Desk, as_worker: Working
) -> None:
    entry_id = entry(program)
    assert '<pre class="proof">' not in page(desk, entry_id)
    run(as_worker)
    (text,) = re.findall(r'<pre class="proof">(.*?)</pre>', page(desk, entry_id), re.DOTALL)
    shown: Any = json.loads(unescape(text))
    salt, opened, proof = decoded(shown["opening"]["salt"]), shown["opening"]["entry"], shown["inclusion"]
    assert (opened["entry"], opened["action"]) == (entry_id, "program.entered")
    leaf, found = leaf_hash(LeafType.AUDIT_ENTRY, salt, opened), head(shown["checkpoint"])
    assert decoded(proof["leaf"]) == leaf
    assert tree.includes(found.root, found.size, proof["index"], leaf, [decoded(step) for step in proof["path"]])


def test_an_entry_from_before_says_so(program: Program, desk: Desk, owner: psycopg.Connection) -> None:
    owner.execute(
        "INSERT INTO audit_entry (program_id, actor, action, target, details) VALUES (%s, 'system', 'x', 'program:1', '{}')",
        [program.id],
    )
    assert '<pre class="proof">' not in page(desk, entry(program))


def test_the_first_page_tells_how_the_log_stands(
    program: Program, desk: Desk, as_worker: Working, folder: Path
) -> None:
    program.decide("alice")
    run(as_worker)
    program.decide("bob")
    found = told(desk)
    assert (
        found["Newest checkpoint of the log"]
        == f"{LogCheckpoint.objects.get().at.astimezone(ZoneInfo(program.zone)):%Y-%m-%d %H:%M}"
    )
    assert found["Records and entries that have no place in it yet"] == "1"
    assert "The log is not what was published of it" not in found
