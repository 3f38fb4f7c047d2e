"""An officer finds the requests of whoever calls by telephone."""

import re
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import psycopg
import pytest
from django.db import connection

from tests.cast import Program
from tests.consent.acts import wait_for_a_waiter
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


def finder(name: str, program: Program) -> Desk:
    return officer(name, program, may=("find_by_phone",))


def page(desk: Desk, phone: str) -> str:
    response = desk.post("phone/", phone=phone)
    assert response.status_code == 200
    text: str = response.content.decode()
    return text


@pytest.mark.parametrize("typed", [NUMBER, "138 1234 5678"])
def test_the_requests_of_all_who_share_the_number(
    program: Program, owner: psycopg.Connection, numbered: dict[str, Any], typed: str
) -> None:
    desk = finder("grace", program).enter(program)
    shown = page(desk, typed)
    assert "2 people have this number" in shown
    assert [name for name, request_id in numbered.items() if f"/subjectrequest/{request_id}/" in shown] == [
        "alice",
        "bob",
    ]
    assert len(re.findall(r"</a> · \d{4}-\d\d-\d\d \d\d:\d\d · ", shown)) == 2, "told apart by when they came"
    assert "8613812345678" not in shown
    assert "1234 5678" not in shown
    row = owner.execute("SELECT actor, details::text FROM audit_entry WHERE action = 'phone.looked_up'").fetchone()
    assert row == (f"officer:{desk.user.pk}", '{"people": 2}')


def test_a_number_nobody_has_and_one_that_is_none(program: Program, numbered: dict[str, Any]) -> None:
    desk = finder("grace", program).enter(program)
    assert "0 people have this number" in page(desk, "+8613700000000")
    refused = page(desk, "<b>12</b>")
    assert "8 to 15 digits" in refused
    assert "<b>12" not in refused
    assert "phone/" in desk.get("").content.decode(), "a link in the side bar"


def test_nobody_is_found_in_another_program_or_without_permission(
    program: Program, other: Program, numbered: dict[str, Any]
) -> None:
    assert "0 people have this number" in page(finder("olga", other).enter(other), NUMBER)
    assert finder("nobody", program).post("phone/", phone=NUMBER).status_code == 302, "no mini-program was picked"
    neither = [
        officer("heidi", program, may_see=("notice",), may=("find_by_phone",)).enter(program),
        officer("ivan", program).enter(program),
    ]
    for closed in neither:
        assert closed.post("phone/", phone=NUMBER).status_code == 403
        assert "phone/" not in closed.get("").content.decode()


def test_an_officer_searches_so_often_an_hour_and_is_told_when_again(
    program: Program, owner: psycopg.Connection, numbered: dict[str, Any], settings: Any
) -> None:
    settings.ZHIQING_PHONE_SEARCHES = 2
    desk = finder("grace", program).enter(program)
    page(desk, "none")
    for _ in range(2):
        assert "2 people have this number" in page(desk, NUMBER)
    refused = page(desk, NUMBER)
    assert "have this number" not in refused and "You searched 2 times within an hour" in refused
    assert "2 people have this number" in page(finder("heidi", program).enter(program), NUMBER), "each for themselves"
    owner.execute("UPDATE audit_entry SET at = at - interval '59 minutes' WHERE action = 'phone.looked_up'")
    assert "within an hour" in page(desk, NUMBER)
    owner.execute("UPDATE audit_entry SET at = at - interval '1 minute' WHERE action = 'phone.looked_up'")
    assert "2 people have this number" in page(desk, NUMBER)


def test_of_two_searches_at_once_the_second_sees_the_first(
    program: Program, owner: psycopg.Connection, numbered: dict[str, Any], settings: Any
) -> None:
    settings.ZHIQING_PHONE_SEARCHES = 1
    desk = finder("grace", program).enter(program)
    name = f"phone.looked_up officer:{desk.user.pk}"

    def search(_: int) -> str:
        try:
            return page(desk, NUMBER)
        finally:
            connection.close()

    with ThreadPoolExecutor() as pool:
        owner.execute("SELECT pg_advisory_lock(hashtextextended(%s, %s))", [name, program.id])
        try:
            searches = pool.map(search, range(2))
            wait_for_a_waiter(owner)
        finally:
            owner.execute("SELECT pg_advisory_unlock(hashtextextended(%s, %s))", [name, program.id])
        shown = list(searches)
    assert sorted("2 people have this number" in text for text in shown) == [False, True]


def test_the_index_finds_them(program: Program, owner: psycopg.Connection) -> None:
    owner.execute("SET enable_seqscan = off")
    plan = owner.execute("EXPLAIN SELECT FROM subject_identifier WHERE lookup = ANY(%s)", [[b"x"]]).fetchall()
    assert "subject_identifier_lookup" in str(plan)
