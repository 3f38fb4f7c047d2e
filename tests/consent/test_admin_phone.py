"""An officer finds the requests of whoever calls by telephone."""

from typing import Any

import psycopg
import pytest

from tests.cast import Program
from tests.consent.desk import Desk, officer
from tests.consent.rights import file

NUMBER = "+8613812345678"


@pytest.fixture
def numbered(program: Program) -> dict[str, Any]:
    """alice and bob share a number, carol has another; who filed what, by name."""
    filed = {}
    for openid, phone in (("alice", NUMBER), ("bob", NUMBER), ("carol", "+8613912345678")):
        program.decide(openid)
        added = {"subject": {"openid": openid}, "add": {"phone": phone}}
        assert program.post("identities", added).status_code == 200
        filed[openid] = file(program, "access", openid)["request_id"]
    return filed


def page(desk: Desk, phone: str) -> str:
    response = desk.post("phone/", phone=phone)
    assert response.status_code == 200
    text: str = response.content.decode()
    return text


@pytest.mark.parametrize("typed", [NUMBER, "138 1234 5678"])
def test_the_requests_of_all_who_share_the_number(
    program: Program, owner: psycopg.Connection, numbered: dict[str, Any], typed: str
) -> None:
    desk = officer("grace", program).enter(program)
    shown = page(desk, typed)
    assert "2 people have this number" in shown
    assert [name for name, request_id in numbered.items() if f"/subjectrequest/{request_id}/" in shown] == [
        "alice",
        "bob",
    ]
    assert "8613812345678" not in shown
    assert "1234 5678" not in shown
    row = owner.execute("SELECT actor, details::text FROM audit_entry WHERE action = 'phone.looked_up'").fetchone()
    assert row == (f"officer:{desk.user.pk}", '{"people": 2}')


def test_a_number_nobody_has_and_one_that_is_none(program: Program, numbered: dict[str, Any]) -> None:
    desk = officer("grace", program).enter(program)
    assert "0 people have this number" in page(desk, "+8613700000000")
    refused = page(desk, "<b>12</b>")
    assert "8 to 15 digits" in refused
    assert "<b>12" not in refused
    assert "phone/" in desk.get("").content.decode(), "a link in the side bar"


def test_nobody_is_found_in_another_program_or_without_permission(
    program: Program, other: Program, numbered: dict[str, Any]
) -> None:
    assert "0 people have this number" in page(officer("olga", other).enter(other), NUMBER)
    assert officer("nobody", program).post("phone/", phone=NUMBER).status_code == 302, "no mini-program was picked"
    closed = officer("heidi", program, may_see=("notice",)).enter(program)
    assert closed.post("phone/", phone=NUMBER).status_code == 403
    assert "phone/" not in closed.get("").content.decode()


def test_the_index_finds_them(program: Program, owner: psycopg.Connection) -> None:
    owner.execute("SET enable_seqscan = off")
    plan = owner.execute("EXPLAIN SELECT FROM subject_identifier WHERE lookup = ANY(%s)", [[b"x"]]).fetchall()
    assert "subject_identifier_lookup" in str(plan)
