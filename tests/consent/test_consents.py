"""Giving, refusing, deferring and withdrawing, as a backend does it."""

import json
import threading
from datetime import timedelta, timezone
from typing import Any

import psycopg
import pytest
from django.db import connection

from consent.edge import vault
from consent.errors import Problem
from consent.ledger.leaves import LeafType, leaf_hash
from consent.notices.actions import publish_notice
from consent.programs.tenancy import tenant
from consent.records.entries import canonical, evidence_cell
from consent.records.models import ConsentRecord
from consent.vault.identities import open_json
from tests.cast import AT_ONCE, Program, event, example_notice, now
from tests.consent.acts import act, post_and_close, refused, status, wait_for_a_waiter


def test_an_unknown_subject_is_answered_and_not_created(program: Program, owner: psycopg.Connection) -> None:
    assert status(program, "nobody") == {
        "purpose": "analytics",
        "state": "unknown",
        "allowed": False,
        "service_allowed": True,
        "may_prompt": True,
        "renewal_required": False,
        "expires_at": None,
        "notice": None,
    }
    assert owner.execute("SELECT count(*) FROM subject").fetchone() == (0,)


@pytest.mark.parametrize(
    ("decision", "state", "allowed", "may_prompt"),
    [
        ("given", "given", True, False),
        ("refused", "refused", False, False),
        ("deferred", "requested", False, True),
    ],
)
def test_a_decision_is_recorded(program: Program, decision: str, state: str, allowed: bool, may_prompt: bool) -> None:
    answer = program.decide("alice", decision)
    assert [(r["purpose"], r["state"]) for r in answer["records"]] == [("analytics", state)]
    found = status(program, "alice")
    assert (found["state"], found["allowed"], found["may_prompt"]) == (state, allowed, may_prompt)
    assert found["notice"] == program.notice


def test_a_withdrawal_needs_subject_and_decisions_only_and_closes_the_gate(program: Program) -> None:
    pseudonym = program.decide("alice")["subject_id"]
    assert program.send(event("alice", "e1"))["stored"] == 1
    body = {"subject": {"subject_id": pseudonym}, "decisions": [{"purpose": "analytics", "decision": "withdrawn"}]}
    assert program.post("consents", body).status_code == 201
    assert program.send(event("alice", "e2"))["results"][0]["code"] == "consent_withdrawn"
    assert status(program, "alice")["state"] == "withdrawn"


@pytest.mark.parametrize("name", [{"openid": "ghost"}, {"subject_id": "00000000-0000-4000-8000-000000000000"}])
def test_withdrawing_for_nobody_makes_nobody(program: Program, owner: psycopg.Connection, name: dict[str, str]) -> None:
    body = {"subject": name, "decisions": [{"purpose": "analytics", "decision": "withdrawn"}]}
    answer = program.post("consents", body)
    assert answer.status_code == 201
    assert answer.json() == {
        "subject_id": None,
        "records": [{"record_id": None, "purpose": "analytics", "state": "unknown", "receipt": None}],
    }
    assert owner.execute("SELECT count(*) FROM subject").fetchone() == (0,)


def test_an_idempotency_key_is_one_clients(program: Program, owner: psycopg.Connection) -> None:
    first = program.post("consents", act(program, ("analytics", "given")), Idempotency_Key="k")
    program.key = program.key_with("consents")
    body = act(program, ("personalisation", "given"))
    second = program.post("consents", body, Idempotency_Key="k")
    assert [r["purpose"] for r in program.post("consents", body, Idempotency_Key="k").json()["records"]] == [
        "personalisation"
    ]
    assert first.json()["records"] != second.json()["records"]
    assert owner.execute("SELECT count(*) FROM consent_record").fetchone() == (2,)


@pytest.mark.parametrize("name", ["notice", "locale", "method", "act"])
def test_an_act_says_how_it_was_done(program: Program, name: str) -> None:
    body = act(program, ("precise_location", "given"))
    del body[name]
    refused(program, body, 422, "invalid", f"/{name}")


def test_what_is_not_a_consent_is_a_problem(program: Program, other: Program) -> None:
    refused(program, act(program, ("analytics", "given"), notice="0" * 64), 422, "unknown_notice", "/notice")
    refused(program, act(program, ("analytics", "given"), notice=other.notice), 422, "unknown_notice", "/notice")
    refused(program, act(program, ("analytics", "given"), ("analytics", "refused")), 422, "duplicate_purpose")
    old, future = now() - timedelta(hours=25), now() + timedelta(minutes=5)
    refused(program, act(program, ("analytics", "given"), occurred_at=future.isoformat()), 422, "in_the_future")
    assert program.post("consents", act(program, ("analytics", "refused"))).status_code == 201
    refused(program, act(program, ("analytics", "given"), occurred_at=old.isoformat()), 422, "too_old")
    program.key = program.key_with("consents")
    refused(program, act(program, ("analytics", "given"), occurred_at=old.isoformat()), 422, "too_old")
    program.key = program.key_with("events")
    refused(program, act(program, ("analytics", "given")), 403, "insufficient_scope")


@pytest.mark.parametrize(
    ("change", "pointer"),
    [
        ({"subject": {"phone": "x"}}, "/subject"),
        ({"decisions": []}, "/decisions"),
        ({"decisions": [{"purpose": "analytics", "decision": "maybe"}]}, "/decisions/0/decision"),
        ({"act": 1}, "/act"),
        ({"occurred_at": "2026-10-01T00:00:00"}, "/occurred_at"),
        ({"turns_14_on": "x"}, "/turns_14_on"),
        ({"turns_14_on": "0001-01-01"}, "/turns_14_on"),
        ({"occurred_at": "0001-01-01T00:00:00+14:00"}, "/occurred_at"),
        ({"sent_at": "9999-12-31T23:59:59-12:00"}, "/sent_at"),
        ({"locale": "x\u0001"}, "/locale"),
        ({"canary_name": 1}, ""),
    ],
)
def test_a_bad_body_is_told_by_pointer_and_never_echoed(program: Program, change: dict[str, Any], pointer: str) -> None:
    refused(program, act(program, ("analytics", "given"), **change), 422, "invalid", pointer)
    response = program.post("consents", act(program, ("analytics", "given"), **change))
    assert b"maybe" not in response.content
    assert b"canary_name" not in response.content


def test_the_status_of_an_unknown_purpose_is_a_problem(program: Program) -> None:
    response = program.post("consents/status", {"subject": {"openid": "a"}, "purposes": ["analytics", "nope"]})
    assert (response.status_code, response.json()["errors"][0]["pointer"]) == (422, "/purposes/1")


def test_names_of_one_person_and_of_two(program: Program, owner: psycopg.Connection) -> None:
    both = {"openid": "alice", "external_id": "user-1"}
    first = program.decide("alice", subject=both)["subject_id"]
    assert program.decide("x", subject={"external_id": "user-1"})["subject_id"] == first
    program.decide("bob")
    response = program.post("consents/status", {"subject": {"openid": "bob", "external_id": "user-1"}})
    assert (response.status_code, response.json()["code"]) == (409, "identity_conflict")
    refused(
        program,
        act(program, ("analytics", "given"), subject={"openid": "carol", "external_id": "user-1"}),
        409,
        "identity_conflict",
    )
    refused(
        program, act(program, ("analytics", "given"), subject={"subject_id": "00000000-0000-4000-8000-000000000000"}),
        422, "unknown_subject",
    )  # fmt: skip
    assert owner.execute("SELECT count(*) FROM subject").fetchone() == (2,)


def test_identifiers_and_evidence_are_sealed_and_open_again(program: Program, owner: psycopg.Connection) -> None:
    program.decide("canary-openid", evidence={"form_id": "canary-form"})
    for table in ("subject", "subject_identifier", "subject_lookup", "consent_record", "data_key", "leaf"):
        for row in owner.execute(f"SELECT * FROM {table}").fetchall():
            assert not any(b"canary" in (v if isinstance(v, bytes) else str(v).encode()) for v in row)
    with tenant(program.id):
        record = ConsentRecord.objects.get()
        assert record.evidence is not None
        key = vault().data_key(program.id, record.subject_id)
        assert open_json(key, bytes(record.evidence), evidence_cell(record))["evidence"] == {"form_id": "canary-form"}


@pytest.mark.parametrize("hours", [0, 8, -11])
def test_the_leaf_commits_to_the_record(program: Program, owner: psycopg.Connection, hours: int) -> None:
    """As it is read again, whatever offset the caller wrote its time with."""
    at = now().astimezone(timezone(timedelta(hours=hours)))
    program.decide("alice", evidence={"form_id": "f"}, occurred_at=at.isoformat())
    with tenant(program.id):
        record = ConsentRecord.objects.get()
        expected = leaf_hash(LeafType.CONSENT_RECORD, bytes(record.salt), canonical(record))
        changed = canonical(record) | {"state": "refused"}
    row = owner.execute("SELECT hash FROM leaf WHERE id = %s", [record.leaf_id]).fetchone()
    assert row is not None
    assert bytes(row[0]) == expected != leaf_hash(LeafType.CONSENT_RECORD, bytes(record.salt), changed)


def test_records_are_append_only_for_the_application(program: Program) -> None:
    program.decide("alice")
    for statement in ("UPDATE consent_record SET state = 'refused'", "DELETE FROM consent_record", "DELETE FROM leaf"):
        with pytest.raises(Exception, match="permission denied"), tenant(program.id), connection.cursor() as cursor:
            cursor.execute(statement)


def test_an_idempotency_key_records_once(program: Program, owner: psycopg.Connection) -> None:
    body = act(program, ("analytics", "given"))
    first = program.post("consents", body, Idempotency_Key="k1")
    again = program.post("consents", dict(reversed(body.items())), Idempotency_Key="k1")
    assert (first.status_code, again.status_code) == (201, 201)
    assert first.json() == again.json()
    assert owner.execute("SELECT count(*) FROM consent_record").fetchone() == (1,)
    other_body = program.post("consents", act(program, ("analytics", "refused")), Idempotency_Key="k1")
    assert (other_body.status_code, other_body.json()["code"]) == (422, "idempotency_conflict")
    failed = program.post("consents", act(program, ("nothing", "given")), Idempotency_Key="k2")
    assert failed.status_code == 422
    assert program.post("consents", body, Idempotency_Key="k2").status_code == 201


def test_a_key_used_again_answers_the_state_that_was_told_first(program: Program, owner: psycopg.Connection) -> None:
    """A grant that renews, and one dated before a refusal: what they came to is not what was decided."""
    before = now()
    program.decide("alice")
    renewing = act(program, ("analytics", "given"))
    renewed = program.post("consents", renewing, Idempotency_Key="k1").json()
    program.decide("alice", "refused")
    late = act(program, ("analytics", "given"), occurred_at=before.isoformat())
    evidence = program.post("consents", late, Idempotency_Key="k2").json()
    assert [told["records"][0]["state"] for told in (renewed, evidence)] == ["renewed", "refused"]
    program.decide("alice")
    assert program.post("consents", renewing, Idempotency_Key="k1").json() == renewed
    assert program.post("consents", late, Idempotency_Key="k2").json() == evidence
    owner.execute("UPDATE consent_record SET answered = NULL")
    old = program.post("consents", renewing, Idempotency_Key="k1").json()["records"][0]
    assert old == renewed["records"][0] | {"state": "given"}, (
        "a record of before the state was kept; the receipt is the same"
    )


def test_a_record_keeps_no_answered_state_but_one_of_consent(program: Program, owner: psycopg.Connection) -> None:
    program.decide("alice")
    with pytest.raises(psycopg.errors.CheckViolation, match="consent_record_answered"):
        owner.execute("UPDATE consent_record SET answered = 'maybe'")


def test_a_withdrawal_that_found_nobody_is_answered_alike_when_it_is_sent_again(program: Program) -> None:
    body = {"subject": {"openid": "nobody"}, "decisions": [{"purpose": "analytics", "decision": "withdrawn"}]}
    first, again = (program.post("consents", body, Idempotency_Key="k") for _ in range(2))
    assert (first.status_code, again.status_code) == (201, 201)
    assert again.json() == first.json()


def test_an_idempotency_key_in_use_is_a_conflict(program: Program, owner: psycopg.Connection) -> None:
    program.decide("alice")
    with owner.transaction():
        owner.execute("SELECT 1 FROM subject FOR UPDATE")
        answers: list[Any] = []
        body = act(program, ("analytics", "given"))
        caller = threading.Thread(target=lambda: answers.append(post_and_close(program, body, "k1")))
        caller.start()
        wait_for_a_waiter(owner)
        second = program.post("consents", body, Idempotency_Key="k1")
        assert (second.status_code, second.json()["code"], second["Retry-After"]) == (
            409,
            "idempotency_in_progress",
            "1",
        )
    caller.join()
    assert answers[0].status_code == 201


def test_two_first_consents_at_once_make_one_subject(program: Program, owner: psycopg.Connection) -> None:
    answers: list[Any] = []
    body = act(program, ("analytics", "given"), subject={"openid": "new", "external_id": "n-1"})
    callers = [threading.Thread(target=lambda: answers.append(post_and_close(program, body))) for _ in range(8)]
    for caller in callers:
        caller.start()
    for caller in callers:
        caller.join()
    assert [answer.status_code for answer in answers] == [201] * 8
    assert len({answer.json()["subject_id"] for answer in answers}) == 1
    assert owner.execute("SELECT count(*), max(version) FROM subject").fetchone() == (1, 8)


def test_the_notice_is_public_and_found_by_its_hash(program: Program) -> None:
    key, program.key = program.key, "none"
    current = program.get(f"notices/current?program={program.id}&audience=general&locale=en")
    assert (current.status_code, current.json()["sha256"]) == (200, program.notice)
    assert current.json()["purposes"][0]["title"] == "Usage statistics"
    by_hash = program.get(f"notices/{program.notice}").json()
    assert by_hash["purposes"][0]["title"]["zh-Hans"] == "使用情况统计"
    assert program.get("notices/" + "0" * 64).status_code == 404
    assert program.get("notices/current?program=999999").status_code == 404
    assert program.get("notices/current?program=x").status_code == 422
    assert key != program.key


def test_only_a_first_notice_may_be_dated_back(program: Program) -> None:
    with pytest.raises(Problem, match="effective_in_the_past"):
        publish_notice(
            program_id=program.id,
            text=example_notice(),
            effective_at=now() - timedelta(days=1),
            lead=AT_ONCE,
            by="test",
            now=now(),
        )


def test_profile_attributes_are_declared_consented_and_sealed(program: Program, owner: psycopg.Connection) -> None:
    body: dict[str, Any] = {"subject": {"openid": "alice"}, "attributes": {"nickname": "canary-nick"}}
    assert program.call("PUT", "profile", body).json()["code"] == "consent_missing"
    program.decide("alice", "given", "personalisation")
    answer = program.call("PUT", "profile", body)
    assert (answer.status_code, json.loads(answer.content)["attributes"]) == (200, ["nickname"])
    assert b"canary" not in answer.content
    row = owner.execute("SELECT sealed FROM profile_attribute").fetchone()
    assert row is not None
    assert b"canary" not in bytes(row[0])
    undeclared = program.call("PUT", "profile", {"subject": {"openid": "alice"}, "attributes": {"shoe_size": "44"}})
    assert undeclared.json()["errors"][0] == {
        "code": "undeclared_attribute",
        "detail": "declare it in a notice and ask for consent to its purpose first",
        "pointer": "/attributes",
    }
    body["attributes"] = {"nickname": None, "city": "上海"}
    assert json.loads(program.call("PUT", "profile", body).content)["attributes"] == ["city"]
    program.decide("alice", "withdrawn", "personalisation")
    assert program.call("PUT", "profile", body).json()["code"] == "consent_withdrawn"
