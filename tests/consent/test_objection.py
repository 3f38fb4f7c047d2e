"""Objection (PIPL 44): the consents to the purposes named end at once, and what was collected under them goes."""

from typing import Any

import psycopg

from consent.rights import collected
from tests.cast import Program
from tests.consent.acts import status
from tests.consent.rights import Working, ask, file, lively, problem, shown, subject_of
from tests.consent.test_requests import code_of


def object_to(program: Program, *purposes: str, openid: str = "alice", **more: Any) -> Any:
    return file(program, "objection", openid, scope={"purposes": list(purposes)}, **more)


def test_it_is_done_with_its_answer(program: Program, owner: psycopg.Connection) -> None:
    lively(program)
    filed = object_to(program, "analytics")
    assert filed["state"] == "completed"
    assert code_of(program) == "consent_withdrawn"
    (record,) = owner.execute(
        "SELECT record_id::text, state, method, locale, client_id IS NOT NULL FROM consent_record ORDER BY id DESC LIMIT 1"
    ).fetchall()
    assert filed["records"] == [record[0]]
    assert record[1:] == ("withdrawn", "objection", "zh-Hans", True)
    answer = shown(program, filed)
    assert (answer["state"], answer["records"], answer["holders"]) == ("completed", filed["records"], [])
    assert status(program, "alice", "personalisation")["allowed"] is True
    assert program.get(f"receipts/{record[0]}").json()["receipt"]
    assert owner.execute("SELECT count(*) FROM withdrawal_intent").fetchone() == (0,)
    assert [
        row[0] for row in owner.execute("SELECT action FROM audit_entry WHERE target LIKE 'request:%' ORDER BY id")
    ] == [
        "request.filed",
        "request.completed",
    ]


def test_what_was_collected_under_the_purpose_goes_and_only_a_new_consent_collects_again(
    program: Program, owner: psycopg.Connection, as_worker: Working
) -> None:
    alice = subject_of(owner, lively(program))
    object_to(program, "analytics", "precise_location")
    with as_worker():
        collected.erase_due(seconds=10)
    assert owner.execute("SELECT count(*) FROM event WHERE subject_id = %s", [alice]).fetchone() == (0,)
    assert owner.execute("SELECT count(*) FROM profile_attribute").fetchone() == (2,)
    assert code_of(program) == "consent_withdrawn"
    program.decide("alice", purpose="personalisation")
    assert code_of(program) == "consent_withdrawn"
    program.decide("alice")
    assert code_of(program) == "stored"


def test_objecting_before_anything_was_decided_is_kept_as_a_no(program: Program) -> None:
    program.decide("alice")
    assert len(object_to(program, "personalisation")["records"]) == 1
    found = status(program, "alice", "personalisation")
    assert (found["state"], found["may_prompt"]) == ("withdrawn", False)
    assert code_of(program) == "stored"


def test_the_same_call_again_is_answered_alike_and_ends_nothing_twice(
    program: Program, owner: psycopg.Connection
) -> None:
    program.decide("alice")
    body = {
        "subject": {"openid": "alice"},
        "kind": "objection",
        "scope": {"purposes": ["analytics", "analytics"]},
        "locale": "en",
    }
    first = program.post("requests", body, Idempotency_Key="o1").json()
    assert len(first["records"]) == 1
    assert program.post("requests", body, Idempotency_Key="o1").json() == first
    assert owner.execute("SELECT count(*) FROM consent_record").fetchone() == (2,)
    assert owner.execute("SELECT count(*) FROM withdrawal_intent").fetchone() == (0,)
    assert object_to(program, "analytics")["request_id"] != first["request_id"]


def test_about_nobody_and_about_nothing(program: Program, owner: psycopg.Connection) -> None:
    filed = object_to(program, "analytics", openid="nobody")
    assert (filed["state"], filed["records"]) == ("completed", [])
    assert shown(program, filed)["state"] == "completed_no_data"
    assert owner.execute("SELECT count(*) FROM subject").fetchone() == (0,)
    program.decide("alice")
    problem(ask(program, "objection", scope={"purposes": ["unheard_of"]}), 422, "unknown_purpose")
    assert owner.execute("SELECT count(*) FROM withdrawal_intent").fetchone() == (0,)
    file(program, "erasure")
    problem(ask(program, "objection", scope={"purposes": ["analytics"]}), 409, "erasure_pending")
    assert owner.execute("SELECT count(*) FROM withdrawal_intent").fetchone() == (0,)
