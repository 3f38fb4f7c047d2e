"""L13 (PIPL 44, 47): what is restricted is stored and nothing else; what was erased is certified."""

import psycopg

from tests.cast import Program, event
from tests.consent.rights import Working, ask, carry_out, erased, file, lively
from tests.consent.signed import said


def test_what_is_restricted_is_neither_added_to_nor_read(
    program: Program, owner: psycopg.Connection, as_worker: Working
) -> None:
    lively(program)
    before = owner.execute("SELECT count(*) FROM event").fetchone()
    filed = file(program, "restriction")
    carry_out(program, as_worker, filed)
    assert program.send(event("alice", "after"))["results"][0]["code"] == "restricted"
    assert program.post("consents/history", {"subject": {"openid": "alice"}}).status_code == 409
    assert ask(program, "access").status_code == 409
    assert owner.execute("SELECT count(*) FROM event").fetchone() == before


def test_an_erasure_is_certified_holder_by_holder(
    program: Program, owner: psycopg.Connection, as_worker: Working
) -> None:
    lively(program)
    done = erased(program, owner, as_worker)
    certificate = program.get(f"requests/{done['request_id']}/certificate").json()["certificate"]
    holders = said(certificate)["holders"]
    assert [row["rows_after"] for row in holders] == [0] * len(done["holders"])
    assert sum(row["rows_before"] for row in holders) > 6
