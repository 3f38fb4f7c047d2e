"""POST /identities: what is added to a known subject and removed again, and what a phone is not."""

from typing import Any

import psycopg
import pytest

from consent.edge import vault
from consent.vault.lookup import PHONE
from tests.cast import Program, event
from tests.consent.acts import post_and_close, status, wait_for_a_waiter
from tests.consent.retaining import end_purpose
from tests.consent.rights import Working, ask, carry_out, erased, file, package_of, problem, sections
from tests.tracking.test_barrier import Caller

NUMBER = "+8613812345678"
ALICE = {"openid": "alice"}


def change(program: Program, subject: Any = ALICE, key: str | None = None, **more: Any) -> Any:
    headers = {"Idempotency_Key": key} if key else {}
    return program.post("identities", {"subject": subject} | more, **headers)


def kinds(response: Any) -> list[str]:
    assert response.status_code == 200, response.content
    found: list[str] = response.json()["kinds"]
    return found


def audited(owner: psycopg.Connection) -> list[tuple[Any, ...]]:
    return owner.execute(
        "SELECT action, details->'kinds' FROM audit_entry WHERE action LIKE 'identifiers.%' ORDER BY id"
    ).fetchall()


def test_kinds_are_added_and_the_subject_is_found_by_them(program: Program, owner: psycopg.Connection) -> None:
    pseudonym = program.decide("alice")["subject_id"]
    response = change(program, add={"unionid": "u-1", "external_id": "user-1", "phone": NUMBER})
    assert response.json() == {"subject_id": pseudonym, "kinds": ["external_id", "openid", "phone", "unionid"]}
    assert program.decide("x", "deferred", subject={"external_id": "user-1"})["subject_id"] == pseudonym
    assert program.send(event("x", "e1") | {"subject": {"unionid": "u-1"}})["stored"] == 1
    assert audited(owner) == [("identifiers.added", ["external_id", "phone", "unionid"])]
    row = owner.execute(
        "SELECT actor, target, at = date_trunc('day', at, 'UTC') FROM audit_entry WHERE action = 'identifiers.added'"
    ).fetchone()
    assert row == (f"client:{program.client_id}", f"program:{program.id}", True), "to the day: it outlives the subject"


def test_the_same_again_changes_nothing(program: Program, owner: psycopg.Connection) -> None:
    program.decide("alice")
    for number in (NUMBER, "138 1234 5678"):
        assert kinds(change(program, add={"external_id": "user-1", "phone": number})) == [
            "external_id",
            "openid",
            "phone",
        ]
    assert len(audited(owner)) == 1


def test_nothing_is_added_while_no_purpose_is_consented_to(program: Program, owner: psycopg.Connection) -> None:
    """As where Segment's identify says it: a new identifier is information about the person. To remove needs no consent."""
    program.decide("alice", "refused", subject=ALICE | {"external_id": "user-1"})
    added: dict[str, Any] = {"add": {"phone": NUMBER}}
    problem(change(program, **added), 422, "consent_refused")
    program.decide("alice", purpose="personalisation")
    assert "phone" in kinds(change(program, key="k-1", **added))
    program.decide("alice", "withdrawn", purpose="personalisation")
    assert "phone" in kinds(change(program, key="k-1", **added)), "what was done is answered again"
    problem(change(program, add={"unionid": "u-1"}), 422, "consent_withdrawn")
    assert kinds(change(program, remove=["phone", "external_id"])) == ["openid"]
    program.decide("alice")
    end_purpose(program, "analytics")
    problem(change(program, add={"unionid": "u-1"}), 422, "purpose_inactive")
    assert owner.execute("SELECT kind FROM subject_identifier").fetchall() == [("openid",)]


def test_what_belongs_to_another_or_differs_is_a_conflict(program: Program, owner: psycopg.Connection) -> None:
    program.decide("alice")
    program.decide("bob", subject={"openid": "bob", "unionid": "u-bob"})
    assert kinds(change(program, add={"external_id": "user-1", "phone": NUMBER}))
    before = owner.execute("SELECT count(*) FROM subject_identifier").fetchone()
    for more in (
        {"unionid": "u-bob"},
        {"external_id": "user-2"},
        {"phone": "+8613812345679"},
        {"unionid": "u-alice", "external_id": "user-2"},
    ):
        problem(change(program, add=more), 409, "identity_conflict")
    # The subject has another value of the kind, and the value is another's.
    problem(change(program, {"openid": "bob"}, add={"external_id": "user-1"}), 409, "identity_conflict")
    assert kinds(change(program, {"openid": "bob"}, add={"external_id": "user-3"}))
    problem(change(program, {"openid": "bob"}, add={"external_id": "user-1"}), 409, "identity_conflict")
    assert before is not None
    assert owner.execute("SELECT count(*) FROM subject_identifier").fetchone() == (before[0] + 1,)


def test_kinds_are_removed_and_find_nobody_any_more(program: Program, owner: psycopg.Connection) -> None:
    pseudonym = program.decide("alice", subject=ALICE | {"external_id": "user-1"})["subject_id"]
    change(program, add={"phone": NUMBER})
    assert kinds(change(program, remove=["external_id", "phone", "unionid"])) == ["openid"]
    assert kinds(change(program, remove=["phone"])) == ["openid"]
    assert audited(owner)[1:] == [("identifiers.removed", ["external_id", "phone"])]
    assert program.decide("x", subject={"external_id": "user-1"})["subject_id"] != pseudonym


def test_the_last_by_which_somebody_is_recognised_stays(program: Program) -> None:
    pseudonym = program.decide("alice")["subject_id"]
    change(program, add={"phone": NUMBER})
    problem(change(program, remove=["openid"]), 409, "last_identifier")
    problem(change(program, remove=["openid", "phone"]), 409, "last_identifier")
    assert kinds(change(program, add={"external_id": "user-1"})) == ["external_id", "openid", "phone"]
    assert kinds(change(program, {"subject_id": pseudonym}, remove=["openid"])) == ["external_id", "phone"]
    problem(change(program, {"subject_id": pseudonym}, remove=["external_id"]), 409, "last_identifier")
    assert kinds(change(program, {"subject_id": pseudonym}, add={"unionid": "u-1"}))
    assert status(program, "alice")["state"] == "unknown"


def test_whom_nobody_asked_is_unknown_and_not_made(program: Program, owner: psycopg.Connection) -> None:
    for more in ({"add": {"external_id": "user-1"}}, {"remove": ["phone"]}):
        problem(change(program, **more), 404, "unknown_subject")
    assert owner.execute("SELECT count(*) FROM subject").fetchone() == (0,)


def test_what_is_to_be_erased_or_restricted_is_left_as_it_is(program: Program, owner: psycopg.Connection) -> None:
    program.decide("alice", subject=ALICE | {"external_id": "user-1"})
    owner.execute("UPDATE subject SET restricted = true")
    problem(change(program, add={"phone": NUMBER}), 409, "restricted")
    owner.execute("UPDATE subject SET restricted = false")
    assert ask(program, "erasure").status_code == 202
    for more in ({"add": {"phone": NUMBER}}, {"remove": ["external_id"]}):
        problem(change(program, **more), 409, "erasure_pending")


@pytest.mark.parametrize(
    ("more", "code", "pointer"),
    [
        ({}, "add_or_remove", ""),
        ({"add": {}}, "add_or_remove", ""),
        ({"add": {"external_id": "x"}, "remove": ["phone"]}, "add_or_remove", ""),
        ({"add": {"openid": "x"}}, "invalid", "/add"),
        ({"add": {"subject_id": "00000000-0000-4000-8000-000000000000"}}, "invalid", "/add"),
        ({"add": {"unionid": " x"}}, "invalid_identifier", "/add/unionid"),
        ({"remove": ["subject_id"]}, "invalid", "/remove/0"),
        ({"remove": []}, "invalid", "/remove"),
        ({"add": {"external_id": "x"}, "subject": {"phone": NUMBER}}, "invalid", "/subject"),
        *[
            ({"add": {"phone": number}}, "invalid_identifier", "/add/phone")
            for number in ("+86", "+0123456789", "12812345678", "138123456789", "13812345678x", "１３８１２３４５６７８", "+1234567",
                           "+1234567890123456", "0086 138 1234 5678", "canary")
        ],
    ],
)  # fmt: skip
def test_a_body_that_does_not_say_it_right(program: Program, more: Any, code: str, pointer: str) -> None:
    program.decide("alice")
    told = problem(change(program, **more), 422, code)
    assert [fault["pointer"] for fault in told["errors"]] == [pointer]
    assert "canary" not in str(told)


# --- A phone ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("sent", ["13812345678", "+8613812345678", "+86 138-1234-5678", "(138) 1234 5678"])
def test_a_phone_is_kept_in_one_form_and_sealed(program: Program, owner: psycopg.Connection, sent: str) -> None:
    program.decide("alice")
    change(program, add={"phone": sent})
    row = owner.execute("SELECT sealed, lookup FROM subject_identifier WHERE kind = 'phone'").fetchone()
    assert row is not None
    assert b"1234" not in row[0]
    assert row[1] == vault().lookup.index(program.id, PHONE, NUMBER, vault().lookup.primary)


def test_a_phone_names_nobody_and_may_be_several_peoples(program: Program, owner: psycopg.Connection) -> None:
    """A number changes hands, and a family has one: it neither conflicts nor merges, nor tells that it is known."""
    for openid in ("alice", "bob"):
        program.decide(openid)
        assert "phone" in kinds(change(program, {"openid": openid}, add={"phone": NUMBER}))
    assert owner.execute("SELECT count(*) FROM subject_lookup WHERE kind = 'phone'").fetchone() == (0,)
    for path, body in (
        ("consents/status", {}),
        ("consents/history", {}),
        ("identities", {"remove": ["phone"]}),
        ("consents", {"decisions": [{"purpose": "analytics", "decision": "withdrawn"}]}),
        ("requests", {"kind": "access", "locale": "en"}),
    ):
        problem(program.post(path, {"subject": {"phone": NUMBER}} | body), 422, "invalid")
    sent = program.post("events", {"events": [event("x", "e1") | {"subject": {"phone": NUMBER}}]}).json()
    assert sent["results"][0]["code"] == "invalid_event"


def test_a_phone_is_in_the_package_put_right_and_erased(
    program: Program, owner: psycopg.Connection, as_worker: Working
) -> None:
    program.decide("alice")
    change(program, add={"phone": NUMBER})
    changes = {"identifiers": {"phone": "139 1234 5678"}}
    assert carry_out(program, as_worker, file(program, "rectification", changes=changes))["state"] == "completed"
    filed = file(program, "access")
    carry_out(program, as_worker, filed)
    found = {row["kind"]: row["value"] for row in sections(package_of(program, filed))["identifiers"]}
    assert found == {"openid": "alice", "phone": "+8613912345678"}
    row = owner.execute("SELECT lookup FROM subject_identifier WHERE kind = 'phone'").fetchone()
    assert row == (vault().lookup.index(program.id, PHONE, "+8613912345678", vault().lookup.primary),)
    told = problem(
        ask(program, "rectification", changes={"identifiers": {"phone": "canary"}}), 422, "invalid_identifier"
    )
    assert told["errors"][0]["pointer"] == "/changes/identifiers/phone"
    assert erased(program, owner, as_worker)["state"] == "completed"
    assert owner.execute("SELECT count(*) FROM subject_identifier").fetchone() == (0,)


# --- Sent again, and at once -----------------------------------------------------------------------------------------


def test_an_idempotency_key_adds_once(program: Program) -> None:
    program.decide("alice")
    more = {"add": {"external_id": "user-1"}}
    first = change(program, key="k1", **more)
    assert change(program, key="k1", **more).json() == first.json()
    change(program, remove=["external_id"])
    assert kinds(change(program, key="k1", **more)) == ["openid"], "it was done once, and undone since"
    problem(change(program, key="k1", add={"external_id": "user-2"}), 422, "idempotency_conflict")


def test_a_removal_sent_again_under_the_name_it_removed(program: Program) -> None:
    program.decide("alice", subject=ALICE | {"external_id": "user-1"})
    named = {"external_id": "user-1"}
    assert kinds(change(program, named, key="k1", remove=["external_id"])) == ["openid"]
    problem(change(program, named, key="k1", remove=["external_id"]), 409, "subject_gone")


def test_an_act_that_waited_for_the_removal_of_its_name_is_about_nobody_known(
    program: Program, owner: psycopg.Connection
) -> None:
    """As if it came after: it brings the name back to nobody."""
    pseudonym = program.decide("alice", subject=ALICE | {"external_id": "user-1"})["subject_id"]
    body = {
        "subject": {"external_id": "user-1"}, "notice": program.notice, "locale": "en", "method": "dialog", "act": "single",
        "decisions": [{"purpose": "analytics", "decision": "given"}],
    }  # fmt: skip
    with owner.transaction():
        owner.execute("SELECT FROM subject FOR UPDATE")
        waiting = Caller(lambda: post_and_close(program, body))
        wait_for_a_waiter(owner)
        owner.execute("DELETE FROM subject_lookup WHERE kind = 'external_id'")
        owner.execute("DELETE FROM subject_identifier WHERE kind = 'external_id'")
    assert waiting.result().json()["subject_id"] not in (None, pseudonym)
