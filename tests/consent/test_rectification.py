"""Rectification (PIPL 46), from the filing to what is held afterwards."""

import psycopg

from tests.cast import Program
from tests.consent.retaining import erase_due
from tests.consent.rights import Working, ask, carry_out, file, lively, package_of, problem, sections


def test_a_rectification_puts_attributes_and_identifiers_right(program: Program, as_worker: Working) -> None:
    pseudonym = lively(program)
    changes = {"attributes": {"city": "苏州", "nickname": None}, "identifiers": {"openid": "alice-2", "unionid": "u-1"}}
    answer = carry_out(program, as_worker, file(program, "rectification", changes=changes))
    assert answer["state"] == "completed"
    assert {holder["holder"]: holder["affected"] for holder in answer["holders"] if holder["affected"]} == {
        "consent.profile": 2, "consent.subject": 2,
    }  # fmt: skip
    assert program.decide("alice-2", "deferred")["subject_id"] == pseudonym
    filed = file(program, "access", "alice-2")
    carry_out(program, as_worker, filed)
    found = sections(package_of(program, filed))
    assert {row["name"]: row["value"] for row in found["attributes"]} == {"city": "苏州"}
    assert {row["kind"]: row["value"] for row in found["identifiers"]} == {"openid": "alice-2", "unionid": "u-1"}
    assert program.decide("alice")["subject_id"] != pseudonym


def test_another_subjects_identifier_is_refused_at_filing(program: Program, owner: psycopg.Connection) -> None:
    program.decide("alice")
    program.decide("bob")
    problem(ask(program, "rectification", changes={"identifiers": {"openid": "bob"}}), 409, "identity_conflict")
    assert owner.execute("SELECT count(*) FROM subject_lookup").fetchone() == (4,)


def test_an_identifier_taken_meanwhile_fails_the_request(program: Program, as_worker: Working) -> None:
    pseudonym = program.decide("alice")["subject_id"]
    filed = file(program, "rectification", changes={"identifiers": {"openid": "carol"}})
    program.decide("carol")
    answer = carry_out(program, as_worker, filed)
    assert answer["state"] == "failed"
    errors = {holder["holder"]: holder["error"] for holder in answer["holders"]}
    assert errors["consent.subject"] == "identity_conflict"
    assert program.decide("alice", "deferred")["subject_id"] == pseudonym
    file(program, "rectification", changes={"identifiers": {"openid": "dora"}})


def test_a_rectification_done_in_part_says_so(program: Program, as_worker: Working) -> None:
    lively(program)
    changes = {"attributes": {"city": "苏州"}, "identifiers": {"openid": "carol"}}
    filed = file(program, "rectification", changes=changes)
    program.decide("carol")
    answer = carry_out(program, as_worker, filed)
    assert answer["state"] == "partially_completed"
    told = {holder["holder"]: (holder["status"], holder["error"]) for holder in answer["holders"]}
    assert told["consent.profile"] == ("done", None)
    assert told["consent.subject"] == ("failed", "identity_conflict")


def test_a_held_attribute_is_corrected_whatever_became_of_its_consent(program: Program, as_worker: Working) -> None:
    lively(program)
    program.decide("alice", "withdrawn", purpose="personalisation")
    filed = file(program, "rectification", changes={"attributes": {"city": "苏州"}})
    assert carry_out(program, as_worker, filed)["state"] == "completed"


def test_what_is_corrected_goes_with_the_consent_that_ended_before(
    program: Program, owner: psycopg.Connection, as_worker: Working
) -> None:
    lively(program)
    program.decide("alice", "withdrawn", purpose="personalisation")
    carry_out(program, as_worker, file(program, "rectification", changes={"attributes": {"city": "苏州"}}))
    owner.execute("UPDATE purpose_erasure SET not_before = asked_at")
    erase_due(as_worker)
    assert owner.execute("SELECT count(*) FROM profile_attribute").fetchone() == (0,)


def test_an_attribute_not_held_needs_a_consent(program: Program) -> None:
    program.decide("alice")
    answer = problem(ask(program, "rectification", changes={"attributes": {"city": "苏州"}}), 422, "consent_missing")
    assert answer["errors"][0]["pointer"] == "/changes/attributes/city"
