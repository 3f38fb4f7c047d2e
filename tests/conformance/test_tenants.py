"""I8: what one mini-program made is not there for another's key, call by call.

tests/consent/test_tenancy.py asks the same of every table, as the application's login.
"""

from typing import Any

import psycopg
import pytest

from tests.cast import Program, event
from tests.conformance.surface import CALLS, told
from tests.consent import rights


@pytest.fixture
def theirs(program: Program, other: Program) -> tuple[str, str]:
    """(pseudonym, request id) that the first mini-program made; alice is unknown to the other."""
    answer = program.decide("alice", evidence={"button_id": "agree"})
    program.send(event("alice", "e1"))
    return str(answer["subject_id"]), str(rights.file(program, "access")["request_id"])


def dump(owner: psycopg.Connection, tables: list[str], program_id: int) -> dict[str, list[Any]]:
    """Every row of a tenant, as text."""
    found: dict[str, list[Any]] = {}
    for table in tables:
        columns = owner.execute(
            "SELECT 1 FROM pg_attribute WHERE attrelid = to_regclass(%s) AND attname = 'program_id'", [table]
        ).fetchone()
        if columns:
            query = f"SELECT t::text FROM {table} t WHERE program_id = %s ORDER BY 1".encode()
            found[table] = owner.execute(query, [program_id]).fetchall()
    return found


def test_a_request_is_unknown(other: Program, theirs: tuple[str, str]) -> None:
    request_id = theirs[1]
    for method, path in (("GET", ""), ("GET", "/certificate"), ("POST", "/withdraw"), ("POST", "/rejection-delivered")):
        assert told(other.call(method, f"requests/{request_id}{path}"), 404)["code"] == "not_found"
    assert other.get("requests").json() == {"results": [], "next_cursor": None}


def test_another_programs_cursor_leads_nowhere(program: Program, other: Program, theirs: tuple[str, str]) -> None:
    program.decide("bob")
    rights.file(program, "access", "bob")
    cursor = program.get("requests?limit=1").json()["next_cursor"]
    assert cursor
    assert other.get(f"requests?cursor={cursor}").json()["results"] == []


def test_a_pseudonym_is_unknown(
    program: Program,
    other: Program,
    owner: psycopg.Connection,
    tables: list[str],
    theirs: tuple[str, str],
    as_worker: rights.Working,
) -> None:
    named = {"subject_id": theirs[0]}
    # Not by the test: `overdue` moves every program's dates.
    stamped = ("subject_request", "holder_run")
    tables = [table for table in tables if table not in stamped]
    before = dump(owner, tables, program.id)
    (status,) = other.post("consents/status", {"subject": named, "purposes": ["analytics"]}).json()
    assert (status["state"], status["allowed"]) == ("unknown", False)
    sent = other.post("events", {"events": [event("x", "e2") | {"subject": named}]}).json()
    assert [result["code"] for result in sent["results"]] == ["consent_missing"]
    profile = other.call("PUT", "profile", {"subject": named, "attributes": {"city": "x"}})
    assert profile.status_code in {403, 404, 409, 422}
    decided = other.post(
        "consents", {"subject": named, "decisions": [{"purpose": "analytics", "decision": "withdrawn"}]}
    )
    assert decided.status_code != 201 or decided.json()["subject_id"] != theirs[0]
    for kind in ("access", "erasure"):
        filed = other.post("requests", {"subject": named, "kind": kind, "locale": "en"}).json()
        with as_worker():
            rights.overdue(owner)
            rights.work(other, filed)
        assert rights.shown(other, filed)["state"] == "completed_no_data"
    assert dump(owner, tables, program.id) == before


def test_the_same_identifier_is_another_subject(program: Program, other: Program, theirs: tuple[str, str]) -> None:
    assert other.decide("alice")["subject_id"] != theirs[0]
    other.post(
        "consents", {"subject": {"openid": "alice"}, "decisions": [{"purpose": "analytics", "decision": "withdrawn"}]}
    )
    (status,) = program.post("consents/status", {"subject": {"openid": "alice"}, "purposes": ["analytics"]}).json()
    assert status["allowed"] is True


def test_another_programs_notice_informs_nobody(program: Program, other: Program) -> None:
    """The hash is public, and the same text published by two mini-programs is two notices."""
    body = {
        "subject": {"openid": "eve"}, "notice": "f" * 64, "locale": "en", "method": "dialog", "act": "single",
        "decisions": [{"purpose": "analytics", "decision": "given"}],
    }  # fmt: skip
    told(other.post("consents", body), 404, 409, 422)


def test_idempotency_keys_are_each_programs_own(program: Program, other: Program) -> None:
    body = {"subject": {"openid": "ann"}, "kind": "access", "locale": "en"}
    first = program.post("requests", body, Idempotency_Key="k").json()
    second = other.post("requests", body | {"kind": "erasure"}, Idempotency_Key="k")
    assert second.status_code == 202, second.content
    assert second.json()["request_id"] != first["request_id"]
    assert program.post("requests", body, Idempotency_Key="k").json()["request_id"] == first["request_id"]


def test_events_of_the_same_id_are_each_programs_own(program: Program, other: Program) -> None:
    for caller in (program, other):
        caller.decide("alice")
        assert caller.send(event("alice", "same"))["stored"] == 1


def test_a_report_counts_the_callers_subjects_only(sandbox: Program, program: Program) -> None:
    for openid in ("a", "b", "c"):
        program.decide(openid)
        program.send(event(openid, openid))
    sandbox.decide("a")
    sandbox.send(event("a", "a"))
    today = event("a", "x")["occurred_at"][:10]
    # A day wide on either side: the sandbox's day is not UTC's.
    days = sandbox.post("reports/activity", {"from": today, "to": "2099-12-31"})
    assert days.status_code == 422
    answered = sandbox.post("reports/activity", {"from": today, "to": today}).json()
    assert all(row["dau"] in (0, 1) for row in answered["data"])


@pytest.mark.long
@pytest.mark.parametrize("call", [call for call in CALLS if call.scope], ids=lambda call: call.name)
def test_no_call_of_another_program_changes_or_tells_ours(
    program: Program, other: Program, owner: psycopg.Connection, tables: list[str], theirs: tuple[str, str], call: Any
) -> None:
    """With our request's and our record's id and our subject's pseudonym wherever the call takes one."""
    record_id = str(next(owner.execute("SELECT record_id FROM consent_record"))[0])
    before = dump(owner, tables, program.id)
    body = call.body(other, "alice") if call.body else None
    if body is not None and "subject" in body:
        body["subject"] = {"subject_id": theirs[0]}
    for sent in (body or {}).get("events", []):
        sent["subject"] = {"subject_id": theirs[0]}
    response = other.call(call.method, call.address(other, theirs[1], record_id), body)
    assert response.status_code < 500, response.content
    assert "receipt" not in response.content.decode() or call.name == "record_consents"
    assert theirs[0] not in response.content.decode()
    assert dump(owner, tables, program.id) == before
