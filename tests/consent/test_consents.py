"""Giving, refusing, deferring and withdrawing, as a backend does it."""

import json
import threading
import time
from datetime import timedelta
from typing import Any

import psycopg
import pytest
from django.db import connection

from consent.edge import vault
from consent.errors import Problem
from consent.ledger.leaves import LeafType, leaf_hash
from consent.notices.actions import publish_notice
from consent.programs.tenancy import tenant
from consent.records.actions import canonical, evidence_cell
from consent.records.models import ConsentRecord
from consent.vault.identities import open_json
from tests.cast import Program, event, example_notice, now


def status(program: Program, openid: str, purpose: str = "analytics") -> dict[str, Any]:
    response = program.post("consents/status", {"subject": {"openid": openid}, "purposes": [purpose]})
    assert response.status_code == 200, response.content
    (found,) = response.json()
    assert isinstance(found, dict)
    return found


def act(program: Program, *decisions: tuple[str, str], **more: Any) -> dict[str, Any]:
    return {
        "subject": {"openid": "alice"},
        "notice": program.notice,
        "locale": "zh-Hans",
        "method": "dialog",
        "act": "single",
        "decisions": [{"purpose": purpose, "decision": decision} for purpose, decision in decisions],
    } | more


def refused(program: Program, body: dict[str, Any], status: int, code: str, pointer: str | None = None) -> None:
    response = program.post("consents", body)
    problem = response.json()
    assert (response.status_code, problem["code"]) == (status, code), problem
    assert response["Content-Type"] == "application/problem+json"
    if pointer is not None:
        assert [error["pointer"] for error in problem["errors"]] == [pointer]


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
        ("withdrawn", "withdrawn", False, False),
    ],
)
def test_a_decision_is_recorded(program: Program, decision: str, state: str, allowed: bool, may_prompt: bool) -> None:
    answer = program.decide("alice", decision)
    assert [(r["purpose"], r["state"], r["receipt"]) for r in answer["records"]] == [("analytics", state, None)]
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


def test_deferring_changes_no_grant(program: Program) -> None:
    program.decide("alice")
    assert program.decide("alice", "deferred")["records"][0]["state"] == "given"
    assert program.send(event("alice", "e1"))["stored"] == 1


def test_several_decisions_of_one_act_are_all_or_nothing(program: Program, owner: psycopg.Connection) -> None:
    refused(
        program,
        act(program, ("analytics", "given"), ("flying", "given")),
        422,
        "unknown_purpose",
        "/decisions/1/purpose",
    )
    assert owner.execute("SELECT count(*) FROM subject").fetchone() == (0,)
    response = program.post("consents", act(program, ("analytics", "given"), ("personalisation", "refused")))
    assert [(r["purpose"], r["state"]) for r in response.json()["records"]] == [
        ("analytics", "given"),
        ("personalisation", "refused"),
    ]


@pytest.mark.parametrize("bundle", [{"act": "bundled"}, {}])
def test_a_separate_consent_needs_an_act_of_its_own(program: Program, bundle: dict[str, str]) -> None:
    decisions = [("precise_location", "given")] + ([] if bundle else [("analytics", "given")])
    refused(program, act(program, *decisions, **bundle), 422, "separate_consent_required", "/decisions/0/purpose")
    assert program.post("consents", act(program, ("precise_location", "given"))).status_code == 201
    program.post("consents", act(program, ("precise_location", "refused"), ("analytics", "given")))
    assert status(program, "alice", "precise_location")["state"] == "refused"


def test_what_is_not_a_consent_is_a_problem(program: Program, other: Program) -> None:
    refused(program, act(program, ("analytics", "given"), notice="0" * 64), 422, "unknown_notice", "/notice")
    refused(program, act(program, ("analytics", "given"), notice=other.notice), 422, "unknown_notice", "/notice")
    refused(program, act(program, ("analytics", "given"), notice=None), 422, "purpose_not_in_notice")
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
        ({"canary_name": 1}, ""),
    ],
)
def test_a_bad_body_is_told_by_pointer_and_never_echoed(program: Program, change: dict[str, Any], pointer: str) -> None:
    refused(program, act(program, ("analytics", "given"), **change), 422, "invalid", pointer)
    response = program.post("consents", act(program, ("analytics", "given"), **change))
    assert b"maybe" not in response.content
    assert b"canary_name" not in response.content


def test_a_grant_dated_before_the_newest_refusal_authorises_nothing(program: Program) -> None:
    program.decide("alice", "refused")
    answer = program.decide("alice", occurred_at=(now() - timedelta(minutes=5)).isoformat())
    assert answer["records"][0]["state"] == "refused"
    assert program.send(event("alice", "e1"))["results"][0]["code"] == "consent_refused"
    assert program.decide("alice")["records"][0]["state"] == "given"


def test_a_consent_expires(program: Program, owner: psycopg.Connection) -> None:
    program.decide("alice", "given", "personalisation")
    assert status(program, "alice", "personalisation")["expires_at"] is None
    program.decide("alice")
    assert status(program, "alice")["expires_at"] is not None
    owner.execute("UPDATE consent_state SET grant_until = clock_timestamp() - interval '1 second'")
    found = status(program, "alice")
    assert (found["state"], found["allowed"], found["may_prompt"]) == ("expired", False, True)
    assert program.send(event("alice", "e1"))["results"][0]["code"] == "consent_expired"
    assert program.decide("alice")["records"][0]["state"] == "given"


def test_a_material_version_asks_for_consent_anew(program: Program) -> None:
    program.decide("alice")
    text = example_notice()
    text.purposes[0].retention_days = 1000
    text.purposes[0].material = True
    notice = publish_notice(program_id=program.id, text=text, effective_at=None, by="test", now=now())
    found = status(program, "alice")
    assert (found["allowed"], found["renewal_required"], found["may_prompt"]) == (False, True, True)
    assert program.send(event("alice", "e1"))["results"][0]["code"] == "renewal_required"
    program.notice = notice.sha256
    before = now()
    assert program.decide("alice")["records"][0]["state"] == "given"
    answer = program.send(event("alice", "gap", before), event("alice", "e2"))
    assert [r.get("code") for r in answer["results"]] == ["outside_consent", None]


def test_under_fourteen_needs_a_guardian(program: Program) -> None:
    guardian = {"reference": "g-1", "verified_by": "officer", "verified_at": now().isoformat()}
    program.decide("alice")
    program.decide("alice", "given", "personalisation", age_band="under_14")
    assert program.send(event("alice", "e1"))["results"][0]["code"] == "guardian_required"
    program.decide("alice", age_band="under_14", guardian=guardian)
    assert program.send(event("alice", "e2"))["stored"] == 1


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


def test_the_leaf_commits_to_the_record(program: Program, owner: psycopg.Connection) -> None:
    program.decide("alice", evidence={"form_id": "f"})
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


def test_an_idempotency_key_in_use_is_a_conflict(program: Program, owner: psycopg.Connection) -> None:
    program.decide("alice")
    with owner.transaction():
        owner.execute("SELECT 1 FROM subject FOR UPDATE")
        answers: list[Any] = []
        body = act(program, ("analytics", "given"))
        caller = threading.Thread(target=lambda: answers.append(_post_and_close(program, body, "k1")))
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
    callers = [threading.Thread(target=lambda: answers.append(_post_and_close(program, body))) for _ in range(8)]
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
            program_id=program.id, text=example_notice(), effective_at=now() - timedelta(days=1), by="test", now=now()
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
        "pointer": "/attributes/shoe_size",
    }
    body["attributes"] = {"nickname": None, "city": "上海"}
    assert json.loads(program.call("PUT", "profile", body).content)["attributes"] == ["city"]
    program.decide("alice", "withdrawn", "personalisation")
    assert program.call("PUT", "profile", body).json()["code"] == "consent_withdrawn"


def _post_and_close(program: Program, body: dict[str, Any], key: str | None = None) -> Any:
    try:
        return program.post("consents", body, **({"Idempotency_Key": key} if key else {}))
    finally:
        connection.close()


def wait_for_a_waiter(owner: psycopg.Connection) -> None:
    """Until some transaction waits for a lock; fails after 10 seconds."""
    deadline = time.monotonic() + 10
    while owner.execute("SELECT FROM pg_locks WHERE NOT granted").fetchone() is None:
        assert time.monotonic() < deadline, "nobody waits for a lock"
        time.sleep(0.01)
