"""An officer looks for a person by what they were told of them, and what was typed is kept nowhere."""

import os
import re
import secrets
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from pathlib import Path
from typing import Any

import psycopg
import pytest
import redis
from django.db import connection

from consent.officers import references
from tests.cast import Program
from tests.conformance.search import Search
from tests.consent.acts import wait_for_a_waiter
from tests.consent.desk import Desk, officer
from tests.consent.rights import file

NUMBER = "+8613812345678"
PERSON = re.compile(r'href="/admin/(person/[\w-]+/)"')


@pytest.fixture
def numbered(program: Program) -> dict[str, str]:
    """alice and bob share a number, carol has another; who filed what, by name."""
    filed = {}
    for openid, phone in (("alice", NUMBER), ("bob", NUMBER), ("carol", "+8613912345678")):
        program.decide(openid)
        added = {"subject": {"openid": openid}, "add": {"phone": phone, "external_id": f"no-{openid}"}}
        assert program.post("identities", added).status_code == 200
        filed[openid] = file(program, "access", openid)["request_id"]
    return filed


def finder(name: str, *programs: Program) -> Desk:
    return officer(name, *programs, may=("find_subject",))


def page(desk: Desk, value: str, kind: str = "phone") -> str:
    response = desk.post("person/", kind=kind, value=value)
    assert response.status_code == 200
    assert "no-store" in response["Cache-Control"]
    text: str = response.content.decode()
    return text


def led_to(desk: Desk, shown: str) -> list[str]:
    """The pages of the people found."""
    return [desk.get(address).content.decode() for address in PERSON.findall(shown)]


@pytest.mark.parametrize("typed", [NUMBER, "138 1234 5678"])
def test_a_number_leads_to_all_who_share_it(
    program: Program, owner: psycopg.Connection, numbered: dict[str, str], typed: str
) -> None:
    desk = finder("grace", program).enter(program)
    shown = page(desk, typed)
    assert "2 people are found" in shown
    people = led_to(desk, shown)
    assert [[name for name, request_id in numbered.items() if request_id in text] for text in people] == [
        ["alice"],
        ["bob"],
    ]
    assert len(re.findall(r"Known since \d{4}-\d\d-\d\d \d\d:\d\d</a> · 1 request", shown)) == 2, "told apart by that"
    row = owner.execute("SELECT actor, target, details FROM audit_entry WHERE action = 'person.looked_up'").fetchone()
    assert row == (f"officer:{desk.user.pk}", f"program:{program.id}", {"kind": "phone", "people": 2})


def test_each_kind_of_name_leads_to_the_person(program: Program, numbered: dict[str, str]) -> None:
    pseudonym = program.decide("alice", "deferred")["subject_id"]
    added = {"subject": {"openid": "alice"}, "add": {"unionid": "u-alice"}}
    assert program.post("identities", added).status_code == 200
    desk = finder("grace", program).enter(program)
    named = {"openid": "alice", "unionid": "u-alice", "external_id": "no-alice", "subject_id": pseudonym.upper()}
    for kind, value in named.items():
        (text,) = led_to(desk, page(desk, value, kind))
        assert numbered["alice"] in text, kind
        assert numbered["bob"] not in text


def test_who_is_not_here_is_answered_alike_whether_anybody_is_elsewhere(
    program: Program, other: Program, numbered: dict[str, str]
) -> None:
    desk, token = finder("olga", other).enter(other), re.compile(r'name="csrfmiddlewaretoken" value="\w+"')
    for kind, there in (("openid", "alice"), ("phone", NUMBER), ("external_id", "no-alice")):
        found, nobody = (token.sub("", page(desk, value, kind)) for value in (there, "13700000000"))
        assert "0 people are found" in found and not PERSON.findall(found)
        assert found == nobody, kind


@pytest.mark.parametrize(
    ("kind", "value", "told"),
    [
        ("phone", "<b>12</b>", "8 to 15 digits"),
        ("subject_id", "<b>12</b>", "a UUID"),
        ("openid", "<b>12</b>" * 20, "1 to 128"),
        ("openid", "", "Choose a kind"),
        ("name", "<b>12</b>", "Choose a kind"),
    ],
)
def test_what_is_no_value_of_its_kind_is_refused_and_not_repeated(
    program: Program, owner: psycopg.Connection, kind: str, value: str, told: str
) -> None:
    refused = page(finder("grace", program).enter(program), value, kind)
    assert told in refused and "people are found" not in refused
    assert "<b>12" not in refused and "&lt;b&gt;12" not in refused
    assert owner.execute("SELECT count(*) FROM audit_entry WHERE action = 'person.looked_up'").fetchone() == (0,)


def test_what_was_typed_is_in_no_row_no_log_and_no_address(
    program: Program, owner: psycopg.Connection, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    mark = f"zqtyped{secrets.token_hex(3)}"
    pseudonym = program.decide(f"{mark}-here")["subject_id"]
    desk = officer("grace", program, may=("find_subject", "reveal_subject")).enter(program)
    caplog.set_level("DEBUG")
    caplog.clear()
    shown = [page(desk, f"{mark}-{who}", kind) for who in ("here", "nobody") for kind in ("openid", "phone", "no kind")]
    shown.append(page(desk, pseudonym, "subject_id"))
    (address,) = PERSON.findall(shown[0])
    shown += [desk.get(path).content.decode() for path in (address, f"{address}reveal/")]
    assert not any(mark in text or pseudonym in text for text in (*shown, caplog.text))
    search = Search(mark, owner, redis.Redis.from_url(os.environ["REDIS_URL"]), tmp_path)
    assert search.everywhere() == []
    entries = owner.execute("SELECT string_agg(t::text, ' ') FROM audit_entry t").fetchone()
    assert entries is not None and "person.viewed" in entries[0] and pseudonym not in entries[0]


def test_a_page_of_a_person_is_for_one_session_one_mini_program_and_half_an_hour(
    program: Program, other: Program, numbered: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    desk = officer("grace", program, other, may=("find_subject",)).enter(program)
    (address,) = PERSON.findall(page(desk, "alice", "openid"))
    assert desk.get(address).status_code == 200
    again = {
        "another officer's": finder("heidi", program).enter(program),
        "their own, later": Desk(desk.user).enter(program),
    }
    for whose, session in again.items():
        assert session.get(address).headers["Location"] == "/admin/person/", whose
    assert desk.get(f"{address[:-2]}/").headers["Location"] == "/admin/person/"
    desk.enter(other)
    assert desk.get(address).headers["Location"] == "/admin/person/"
    desk.enter(program)
    monkeypatch.setattr(references, "KEPT", timedelta(seconds=-1))
    (over,) = PERSON.findall(page(desk, "alice", "openid"))
    assert desk.get(over).headers["Location"] == "/admin/person/"


def test_nobody_looks_without_permission_or_mini_program(program: Program, numbered: dict[str, str]) -> None:
    assert finder("nobody", program).post("person/", kind="phone", value=NUMBER).status_code == 302
    neither = [
        officer("heidi", program, may_see=("notice",), may=("find_subject",)).enter(program),
        officer("ivan", program).enter(program),
    ]
    (address,) = PERSON.findall(page(finder("grace", program).enter(program), "alice", "openid"))
    for closed in neither:
        assert closed.post("person/", kind="phone", value=NUMBER).status_code == 403
        assert closed.get(address).status_code == 403
        assert "person/" not in closed.get("").content.decode()


def test_an_officer_searches_so_often_an_hour_and_is_told_when_again(
    program: Program, owner: psycopg.Connection, numbered: dict[str, str], settings: Any
) -> None:
    settings.ZHIQING_PERSON_SEARCHES = 2
    desk = finder("grace", program).enter(program)
    assert "person/" in desk.get("").content.decode(), "a link in the side bar"
    page(desk, "none")
    assert "2 people are found" in page(desk, NUMBER)
    assert "1 person is found" in page(desk, "alice", "openid")
    refused = page(desk, NUMBER)
    assert "people are found" not in refused and "You searched 2 times within an hour" in refused
    assert "2 people are found" in page(finder("heidi", program).enter(program), NUMBER), "each for themselves"
    owner.execute("UPDATE audit_entry SET at = at - interval '59 minutes' WHERE action = 'person.looked_up'")
    assert "within an hour" in page(desk, NUMBER)
    owner.execute("UPDATE audit_entry SET at = at - interval '1 minute' WHERE action = 'person.looked_up'")
    assert "2 people are found" in page(desk, NUMBER)


def test_of_two_searches_at_once_the_second_sees_the_first(
    program: Program, owner: psycopg.Connection, numbered: dict[str, str], settings: Any
) -> None:
    settings.ZHIQING_PERSON_SEARCHES = 1
    desk = finder("grace", program).enter(program)
    lock = [f"person.looked_up officer:{desk.user.pk}"]

    def search(_: int) -> str:
        try:
            return page(desk, NUMBER)
        finally:
            connection.close()

    with ThreadPoolExecutor() as pool:
        owner.execute("SELECT pg_advisory_lock(hashtextextended(%s, 0))", lock)
        try:
            searches = pool.map(search, range(2))
            wait_for_a_waiter(owner)
        finally:
            owner.execute("SELECT pg_advisory_unlock(hashtextextended(%s, 0))", lock)
        shown = list(searches)
    assert sorted("2 people are found" in text for text in shown) == [False, True]


def test_the_indexes_find_them(program: Program, owner: psycopg.Connection) -> None:
    owner.execute("SET enable_seqscan = off")
    plan = owner.execute("EXPLAIN SELECT FROM subject_identifier WHERE lookup = ANY(%s)", [[b"x"]]).fetchall()
    assert "subject_identifier_lookup" in str(plan)
    (body,) = owner.execute("SELECT prosrc FROM pg_proc WHERE proname = 'times_of_officer'").fetchone() or ("",)
    counted = body.partition("RETURN QUERY")[2].partition(";")[0]
    for name, value in (("deed", "'person.looked_up'"), ("officer", "'officer:1'"), ("since", "now()")):
        counted = re.sub(rf"(?<![.\w]){name}\b", value, counted)
    with owner.transaction(force_rollback=True):
        # Of so few entries this one would do as well.
        owner.execute("DROP INDEX audit_entry_actor")
        assert "audit_entry_of_officer" in str(owner.execute(f"EXPLAIN {counted}".encode()).fetchall())


def test_searches_are_counted_in_all_mini_programs_together(
    program: Program, other: Program, numbered: dict[str, str], settings: Any
) -> None:
    settings.ZHIQING_PERSON_SEARCHES = 2
    desk = finder("grace", program, other)
    for shop in (program, other):
        assert "within an hour" not in page(desk.enter(shop), NUMBER)
    for shop in (program, other):
        assert "You searched 2 times within an hour" in page(desk.enter(shop), NUMBER)


def test_only_the_application_asks_when_an_officer_looked_for_people(
    program: Program, owner: psycopg.Connection
) -> None:
    """And learns the times of what is counted, and of nothing else."""
    asked = "SELECT count(*) FROM times_of_officer('officer:1', %s, now() - interval '1 hour')"
    for action in ("person.looked_up", "person.revealed", "person.viewed"):
        owner.execute(
            "INSERT INTO audit_entry (program_id, actor, action, target, details) VALUES (%s, 'officer:1', %s, '', '{}')",
            [program.id, action],
        )
    found = {}
    for action in ("person.looked_up", "person.revealed", "person.viewed"):
        with connection.cursor() as cursor:
            cursor.execute(asked, [action])
            found[action] = cursor.fetchone()
    assert found == {"person.looked_up": (1,), "person.revealed": (1,), "person.viewed": (0,)}
    granted = owner.execute(
        "SELECT grantee FROM information_schema.routine_privileges WHERE routine_name = 'times_of_officer' AND grantee <> grantor"
    ).fetchall()
    assert granted == [("zq_app",)]


def test_what_cannot_be_counted_in_all_mini_programs_is_refused_and_not_counted_as_none(
    program: Program, owner: psycopg.Connection
) -> None:
    """As where the function and the table have come to different owners."""
    asked = "SELECT count(*) FROM times_of_officer('officer:1', 'person.revealed', now() - interval '1 hour')"
    assert owner.execute(asked).fetchone() == (0,)
    with pytest.raises(psycopg.errors.InsufficientPrivilege, match="hides audit entries"), owner.transaction():
        owner.execute(
            "GRANT zq_app TO CURRENT_USER WITH INHERIT TRUE, SET TRUE; GRANT CREATE ON SCHEMA public TO zq_app"
        )
        owner.execute("ALTER FUNCTION times_of_officer(text, text, timestamptz) OWNER TO zq_app")
        owner.execute(asked)
    assert owner.execute(asked).fetchone() == (0,)
