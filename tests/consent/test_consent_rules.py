"""What a decision allows and from when to when: the predicate's rules, one by one."""

import time
from datetime import timedelta
from typing import Any

import psycopg
import pytest

from consent.errors import Problem
from consent.notices.actions import publish_notice
from tests.cast import AT_ONCE, Program, event, example_notice, now
from tests.consent.acts import act, code, refused, status


def test_a_withdrawal_is_never_refused_for_the_time_it_claims(program: Program) -> None:
    for off in (timedelta(days=-3), timedelta(minutes=10)):
        program.decide("alice")
        body = {
            "subject": {"openid": "alice"},
            "occurred_at": (now() + off).isoformat(),
            "decisions": [{"purpose": "analytics", "decision": "withdrawn"}],
        }
        assert program.post("consents", body).json()["records"][0]["state"] == "withdrawn"


@pytest.mark.parametrize(
    "change",
    [
        {"notice": "0" * 64},
        {"decisions": [{"purpose": "analytics", "decision": "refused"}, {"purpose": "nope", "decision": "refused"}]},
        {
            "occurred_at": "2020-01-01T00:00:00Z",
            "decisions": [
                {"purpose": "analytics", "decision": "refused"},
                {"purpose": "personalisation", "decision": "given"},
            ],
        },
    ],
)
def test_an_act_that_is_refused_leaves_the_gate_as_it_was(program: Program, change: dict[str, Any]) -> None:
    program.decide("alice")
    assert program.post("consents", act(program, ("analytics", "refused")) | change).status_code == 422
    assert program.send(event("alice", "e1"))["stored"] == 1


def test_a_repeated_withdrawal_after_a_new_grant_leaves_the_gate_open(program: Program) -> None:
    program.decide("alice")
    body = {"subject": {"openid": "alice"}, "decisions": [{"purpose": "analytics", "decision": "withdrawn"}]}
    program.post("consents", body, Idempotency_Key="k")
    program.decide("alice")
    assert program.post("consents", body, Idempotency_Key="k").json()["records"][0]["state"] == "withdrawn"
    assert program.send(event("alice", "e1"))["stored"] == 1


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
    notice = publish_notice(program_id=program.id, text=text, effective_at=None, lead=AT_ONCE, by="test", now=now())
    found = status(program, "alice")
    assert (found["allowed"], found["renewal_required"], found["may_prompt"]) == (False, True, True)
    assert program.send(event("alice", "e1"))["results"][0]["code"] == "renewal_required"
    program.notice = notice.sha256
    before = now()
    assert program.decide("alice")["records"][0]["state"] == "given"
    answer = program.send(event("alice", "gap", before), event("alice", "e2"))
    assert [r.get("code") for r in answer["results"]] == ["outside_consent", None]


def test_a_grant_begins_no_sooner_than_its_notice(program: Program) -> None:
    program.decide("alice")
    later = now() + timedelta(days=1)
    notice = publish_notice(
        program_id=program.id, text=example_notice(), effective_at=later, lead=AT_ONCE, by="test", now=now()
    )
    old = program.notice
    program.notice = notice.sha256
    program.decide("bob")
    assert program.send(event("bob", "e1"))["results"][0]["code"] == "outside_consent"
    assert status(program, "bob")["allowed"] is False
    program.decide("alice")
    assert code(program, "e1") is None, "the grant before still stands"
    program.notice = old
    with pytest.raises(Problem, match="effective_before_latest"):
        soon = now() + timedelta(hours=1)
        publish_notice(
            program_id=program.id, text=example_notice(), effective_at=soon, lead=AT_ONCE, by="test", now=now()
        )


def test_an_older_consent_that_arrives_late_changes_nothing(program: Program, owner: psycopg.Connection) -> None:
    program.decide("alice")
    late = program.decide("alice", occurred_at=(now() - timedelta(minutes=5)).isoformat())
    assert late["records"][0]["state"] == "given"
    row = owner.execute("SELECT authorises_from FROM consent_record ORDER BY version DESC").fetchone()
    assert row == (None,)


def test_an_event_never_names_a_record_that_was_withdrawn(program: Program, owner: psycopg.Connection) -> None:
    first = program.notice
    past = (now() - timedelta(hours=2)).isoformat()
    later = publish_notice(
        program_id=program.id,
        text=example_notice(),
        effective_at=now() + timedelta(days=1),
        lead=AT_ONCE,
        by="test",
        now=now(),
    )
    program.notice = later.sha256
    program.decide("alice", occurred_at=past)
    program.decide("alice", "withdrawn")
    program.notice = first
    program.decide("alice")
    given = now()
    owner.execute("UPDATE consent_record SET authorises_from = %s WHERE version = 1", [given])
    time.sleep(0.01)
    at = now()
    program.decide("alice")
    assert code(program, "e1", at=at) is None
    row = owner.execute("SELECT r.version FROM event e JOIN consent_record r ON r.id = e.consent_record_id").fetchone()
    assert row == (3,)


def test_nothing_is_attached_to_a_subject_about_to_be_erased(program: Program, owner: psycopg.Connection) -> None:
    program.decide("alice")
    asked = {"subject": {"openid": "alice"}, "kind": "erasure", "locale": "en"}
    assert program.post("requests", asked).status_code == 202
    named = {"openid": "alice", "unionid": "u-1"}
    program.decide("alice", "refused", "personalisation", subject=named)
    assert owner.execute("SELECT count(*) FROM subject_identifier").fetchone() == (1,)
    row = owner.execute("SELECT bool_and(erasure_pending), count(*) FROM consent_state").fetchone()
    assert row == (True, 2)
    refused(program, act(program, ("analytics", "given")), 409, "erasure_pending")
