"""docs/examples/package.schema.json says what packages hold, and packages hold what it says."""

import json
from datetime import timedelta
from typing import Any

import msgspec
import pytest

from consent import edge
from consent.programs.tenancy import tenant
from consent.rights import legal_holds, packages
from consent.rights.models import HoldGround, Package
from tests.cast import Program, now
from tests.consent.package_document import SCHEMA, Document, schema
from tests.consent.rights import Working, carry_out, file, lively
from tests.reports.rolled import roll

VERIFIED: dict[str, Any] = {"verification": {"method": "sms", "at": "2026-01-01T00:00:00Z"}}
KINDS = ["access", "copy", "portability", "explanation"]


def written(program: Program, filed: Any) -> bytes:
    with tenant(program.id):
        package = Package.objects.get(request_id=filed["request_id"])
    return b"".join(packages.stream(edge.vault(), package))


def lived(program: Program, as_worker: Working) -> None:
    """A subject of whom every section has a row."""
    lively(program)
    with as_worker():
        roll(program, [now().date() - timedelta(days=1)])
    legal_holds.hold(
        program_id=program.id,
        holder="tracking.events",
        ground=HoldGround.TRANSACTIONS,
        law="E-Commerce Law, Article 31",
        until=now().date() + timedelta(days=30),
        request_id=None,
        by="test",
    )
    changes = {"attributes": {"nickname": "小爱"}, "identifiers": {"unionid": "u-1"}}
    carry_out(program, as_worker, file(program, "rectification", changes=changes, **VERIFIED))
    program.decide("alice", "withdrawn", "precise_location")
    program.decide("alice", "given", "precise_location")
    program.decide("alice", "withdrawn", "precise_location")


def test_the_schema_is_the_one_the_tests_check_by() -> None:
    assert SCHEMA.read_text() == schema(), "run python -m tests.consent.package_document"


@pytest.mark.parametrize("kind", KINDS)
def test_a_package_is_as_the_schema_says(program: Program, as_worker: Working, kind: str) -> None:
    lived(program, as_worker)
    filed = file(program, kind, **(VERIFIED if kind == "portability" else {}))
    assert carry_out(program, as_worker, filed)["state"] == "completed"
    assert msgspec.json.decode(written(program, filed), type=Document).kind == kind


def test_the_schema_knows_every_section(program: Program, as_worker: Working) -> None:
    lived(program, as_worker)
    seen = set()
    for kind in ("access", "explanation"):
        filed = file(program, kind)
        carry_out(program, as_worker, filed)
        document = json.loads(written(program, filed))
        seen |= {name for holder in document["holders"] for name, rows in holder["sections"].items() if rows}
    assert seen == set(json.loads(SCHEMA.read_text())["$defs"]["Sections"]["properties"])
