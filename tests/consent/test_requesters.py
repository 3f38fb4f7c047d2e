"""Requests of guardians, next of kin and agents: nothing comes of them before an officer has made sure who asks."""

import os
import uuid
from datetime import timedelta
from typing import Any

import psycopg
import pytest
from django.core.management import call_command

from consent import edge
from consent.errors import Conflict
from consent.programs.tenancy import tenant
from consent.rights import minor_access, requesters, review, tasks
from consent.rights.models import MinorAccess
from tests.cast import Program, now
from tests.consent.acts import code, guarded, minors_notice
from tests.consent.deciding import approve, audited, download, reject, take_back, told
from tests.consent.desk import Desk
from tests.consent.rights import (
    Working,
    ask,
    carry_out,
    file,
    lively,
    overdue,
    package_of,
    problem,
    sections,
    shown,
)
from tests.tracking.test_barrier import Caller, wait_for_waiters


def verify(desk: Desk, filed: Any, method: str = "authority", reference: str = "file 17") -> str:
    page = f"consent/subjectrequest/{filed['request_id']}/verify/"
    return told(desk, page, method=method, reference=reference)


def test_an_unverified_erasure_closes_nothing_and_stands_in_nobodys_way(
    program: Program, owner: psycopg.Connection, as_worker: Working
) -> None:
    lively(program)
    filed = file(program, "erasure", requester="agent")
    assert (filed["state"], filed["undo_until"]) == ("verifying", None)
    overdue(owner)
    assert carry_out(program, as_worker, filed)["state"] == "verifying"
    assert code(program, "e1") is None
    assert file(program, "access")["state"] == "approved"
    assert problem(ask(program, "erasure", requester="agent"), 409, "request_open")["request_id"] == filed["request_id"]
    own = file(program, "erasure")
    assert code(program, "e2") == "erasure_pending"
    assert take_back(program, filed).json()["state"] == "withdrawn"
    assert code(program, "e3") == "erasure_pending", "the gate is the subject's own request's"
    assert shown(program, own)["state"] == "approved"


def test_a_verified_erasure_closes_the_gate_and_may_be_taken_back_from_then_on(
    program: Program, desk: Desk, owner: psycopg.Connection, as_worker: Working
) -> None:
    lively(program)
    filed = file(program, "erasure", requester="agent")
    before = now()
    assert verify(desk, filed) == "The requester is verified."
    assert code(program, "e1") == "erasure_pending"
    answer = shown(program, filed)
    assert (answer["state"], answer["undo_until"] > (before + timedelta(hours=23)).isoformat()) == ("approved", True)
    problem(ask(program, "erasure"), 409, "request_open")
    details = {"kind": "erasure", "method": "authority"}
    assert audited(owner, filed)[-1] == ("request.verified", f"officer:{desk.user.pk}", details)
    assert "no longer" in verify(desk, filed)
    overdue(owner)
    assert carry_out(program, as_worker, filed)["state"] == "completed"


def test_batches_step_aside_for_a_request_whose_requester_is_verified(
    program: Program, desk: Desk, owner: psycopg.Connection
) -> None:
    lively(program)
    filed = file(program, "restriction", requester="agent")
    with psycopg.connect(os.environ["DATABASE_OWNER_URL"]) as in_flight:
        in_flight.execute("SELECT FROM consent_state FOR SHARE")
        verifying = Caller(lambda: verify(desk, filed))
        wait_for_waiters(owner, 1)
        assert code(program, "meanwhile") == "consent_changing"
    assert verifying.result() == "The requester is verified."
    assert code(program, "after") == "restricted"
    assert owner.execute("SELECT count(*) FROM withdrawal_intent").fetchone() == (0,)


def test_a_cancellation_by_the_next_of_kin_ends_consents_once_they_are_verified(
    program: Program, desk: Desk, owner: psycopg.Connection, as_worker: Working
) -> None:
    lively(program)
    filed = file(program, "cancellation", requester="next_of_kin")
    assert code(program, "e1") is None
    assert verify(desk, filed, "kinship") == "The requester is verified."
    assert code(program, "e2") == "erasure_pending"
    states: dict[str, int] = dict(owner.execute("SELECT state, count(*) FROM consent_state GROUP BY state").fetchall())
    assert states == {"withdrawn": 2, "refused": 1}
    overdue(owner)
    assert carry_out(program, as_worker, filed)["state"] == "completed"


def test_an_erasure_of_their_own_stands_beside_a_claim_of_another_kind_that_erases(
    program: Program, desk: Desk
) -> None:
    lively(program)
    claim = file(program, "cancellation", requester="next_of_kin")
    own = file(program, "erasure")
    assert "for the same person" in verify(desk, claim, "kinship")
    assert take_back(program, own).json()["state"] == "withdrawn"
    assert verify(desk, claim, "kinship") == "The requester is verified."
    problem(ask(program, "erasure"), 409, "request_open")


def test_an_agents_objection_is_done_when_they_are_verified(
    program: Program, desk: Desk, owner: psycopg.Connection, as_worker: Working
) -> None:
    lively(program)
    scope = {"purposes": ["analytics"]}
    filed = file(program, "objection", requester="agent", scope=scope)
    assert (filed["state"], filed["records"]) == ("verifying", None)
    with as_worker():
        tasks.sweep()
    answer = carry_out(program, as_worker, filed)
    assert (answer["state"], answer["records"], code(program, "e1")) == ("verifying", [], None)
    verify(desk, filed)
    answer = shown(program, filed)
    assert (answer["state"], len(answer["records"])) == ("completed", 1)
    assert code(program, "e2") == "consent_withdrawn"
    made = owner.execute(
        "SELECT record_id::text, state, method FROM consent_record ORDER BY id DESC LIMIT 1"
    ).fetchone()
    assert made == (answer["records"][0], "withdrawn", "objection")


def test_an_agents_restriction_closes_when_they_are_verified_and_is_lifted(
    program: Program, desk: Desk, as_worker: Working
) -> None:
    lively(program)
    filed = file(program, "restriction", requester="agent")
    assert code(program, "e1") is None
    verify(desk, filed)
    assert code(program, "e2") == "restricted"
    assert carry_out(program, as_worker, filed)["state"] == "completed"
    assert take_back(program, filed).json()["state"] == "withdrawn"
    assert code(program, "e3") is None


def test_a_failed_erasure_is_taken_back_whatever_others_claim_meanwhile(
    program: Program, owner: psycopg.Connection
) -> None:
    lively(program)
    filed = file(program, "erasure")
    owner.execute("UPDATE subject_request SET state = 'failed', closed_at = clock_timestamp()")
    owner.execute("UPDATE holder_run SET status = 'cancelled', finished_at = clock_timestamp()")
    owner.execute("UPDATE request_subject SET open = false")
    file(program, "erasure", requester="agent")
    assert take_back(program, filed).json()["state"] == "withdrawn"
    assert code(program, "e1") is None


def test_an_unverified_restriction_lifts_nobodys_when_it_is_taken_back(program: Program, as_worker: Working) -> None:
    lively(program)
    claim = file(program, "restriction", requester="agent")
    carry_out(program, as_worker, file(program, "restriction"))
    assert take_back(program, claim).json()["state"] == "withdrawn"
    assert code(program, "e1") == "restricted"


def test_a_claim_of_a_restriction_closes_no_reading(program: Program, desk: Desk, as_worker: Working) -> None:
    lively(program)
    claim = file(program, "restriction", requester="agent")
    own = file(program, "access")
    assert carry_out(program, as_worker, own)["state"] == "completed"
    assert download(desk, own).status_code == 200
    verify(desk, claim)
    problem(ask(program, "access"), 409, "restricted")


def test_who_claims_is_told_nothing_of_the_person(program: Program) -> None:
    """Alike for somebody nobody knows, and whatever the person asked, decided or is."""
    lively(program)
    file(program, "access")
    file(program, "restriction")
    changes = {"attributes": {"city": "苏州"}, "identifiers": {"openid": "taken"}}
    program.decide("taken")
    for kind in ("access", "rectification", "portability"):
        more = {"changes": changes} if kind == "rectification" else {}
        answers = [file(program, kind, openid, requester="guardian", **more) for openid in ("alice", "nobody")]
        same = [{name: answer[name] for name in ("kind", "state", "undo_until", "records")} for answer in answers]
        assert same[0] == same[1]


def test_what_cannot_be_done_is_told_when_who_asks_is_verified(program: Program, desk: Desk) -> None:
    lively(program)
    program.decide("taken")
    claims = [
        file(program, "rectification", requester="agent", changes={"identifiers": {"openid": "taken"}}),
        file(program, "access", requester="agent"),
    ]
    file(program, "restriction")
    for claim in claims:
        verify(desk, claim)
        assert shown(program, claim)["state"] == "verifying"


def test_a_claim_about_nobody_is_put_aside(program: Program, desk: Desk) -> None:
    filed = file(program, "access", "nobody", requester="agent")
    reject(desk, filed, "not_data_subject")
    assert shown(program, filed)["state"] == "completed_no_data"


def test_an_officer_verifies_who_asks_for_a_transfer_and_decides_on_it(
    program: Program, desk: Desk, as_worker: Working
) -> None:
    lively(program)
    filed = file(program, "portability", requester="agent")
    verify(desk, filed)
    answer = shown(program, filed)
    assert (answer["state"], [name for name, met in answer["conditions"].items() if not met]) == (
        "in_review",
        ["no_harm_to_others"],
    )
    approve(desk, filed)
    assert carry_out(program, as_worker, filed)["state"] == "completed"


def test_review_rules_still_apply(reviewed: Program, desk: Desk, owner: psycopg.Connection, as_worker: Working) -> None:
    lively(reviewed)
    filed = file(reviewed, "erasure", requester="agent")
    assert "not in review" in approve(desk, filed)
    verify(desk, filed)
    overdue(owner)
    assert carry_out(reviewed, as_worker, filed)["state"] == "in_review"
    assert approve(desk, filed) == "The request is approved."
    assert carry_out(reviewed, as_worker, filed)["state"] == "completed"


def test_the_evidence_is_sealed_and_in_the_package(
    program: Program, desk: Desk, owner: psycopg.Connection, as_worker: Working
) -> None:
    lively(program)
    filed = file(program, "access", requester="agent")
    verify(desk, filed, reference="cabinet 9")
    assert owner.execute("SELECT position('cabinet 9'::bytea in verified) FROM request_subject").fetchone() == (0,)
    carry_out(program, as_worker, filed)
    (told_of,) = sections(package_of(program, filed))["requests"]
    assert (told_of["requester"], told_of["verified"]["reference"]) == ("agent", "cabinet 9")


def test_who_cannot_be_verified_is_refused_for_that_alone(
    program: Program, desk: Desk, owner: psycopg.Connection
) -> None:
    lively(program)
    filed = file(program, "erasure", requester="agent")
    assert "verify them first" in reject(desk, filed, "retention_required")
    own = file(program, "erasure")
    assert reject(desk, filed, "not_data_subject") == "The request is rejected."
    assert shown(program, filed)["rejection"]["code"] == "not_data_subject"
    assert code(program, "e1") == "erasure_pending"
    assert take_back(program, own).json()["state"] == "withdrawn"


def test_a_request_meanwhile_being_carried_out_is_not_doubled(program: Program, desk: Desk) -> None:
    program.decide("alice")
    filed = file(program, "access", requester="agent")
    file(program, "access")
    assert "for the same person" in verify(desk, filed)
    file(program, "erasure")
    assert "being erased" in verify(desk, filed)
    assert shown(program, filed)["state"] == "verifying"


def test_a_guardian_asks_for_a_child_only(program: Program, desk: Desk, as_worker: Working) -> None:
    program.decide("grown", age_band="adult")
    grown = file(program, "access", "grown", requester="guardian")
    assert "no guardian asks for them" in verify(desk, grown, "guardianship")
    assert shown(program, grown)["state"] == "verifying"
    with as_worker():
        tasks.remind()
    assert shown(program, grown)["state"] == "rejected"
    program.decide("unknown")
    unknown = file(program, "access", "unknown", requester="guardian")
    with as_worker():
        tasks.remind()
    assert verify(desk, unknown, "guardianship") == "The requester is verified.", "nobody told an age"
    program.decide("alice", **guarded(minors_notice(program)))
    filed = file(program, "access", requester="guardian")
    assert verify(desk, filed, "guardianship") == "The requester is verified."


def test_a_correction_that_may_not_be_made_is_told_to_the_officer_who_verifies(program: Program, desk: Desk) -> None:
    program.decide("alice")
    filed = file(program, "rectification", requester="agent", changes={"attributes": {"city": "苏州"}})
    assert "does not consent to its purpose" in verify(desk, filed)
    assert shown(program, filed)["state"] == "verifying"


def test_what_a_guardian_asked_ends_when_the_child_is_14(
    program: Program, desk: Desk, owner: psycopg.Connection, as_worker: Working
) -> None:
    birthday = (now() + timedelta(days=5)).date()
    program.decide("alice", **guarded(minors_notice(program), turns_14_on=birthday.isoformat()))
    first = file(program, "access", requester="guardian")
    erasure = file(program, "erasure", requester="guardian")
    verify(desk, erasure, "guardianship")
    with as_worker():
        tasks.remind()
    assert shown(program, first)["state"] == "verifying"
    owner.execute("UPDATE subject SET turns_14_on = current_date - 2")
    with as_worker():
        tasks.remind()
    for filed in (first, erasure):
        answer = shown(program, filed)
        assert (answer["state"], answer["rejection"]["code"]) == ("rejected", "not_data_subject")
        assert "人民法院" in answer["rejection"]["text"]
    assert owner.execute("SELECT erasure_pending FROM subject").fetchone() == (False,)


def test_one_of_a_guardians_requests_that_cannot_be_ended_holds_up_no_other(
    program: Program, owner: psycopg.Connection, as_worker: Working, caplog: pytest.LogCaptureFixture
) -> None:
    birthday = (now() + timedelta(days=5)).date().isoformat()
    filed = []
    for openid in ("alice", "bob"):
        program.decide(openid, **guarded(minors_notice(program), turns_14_on=birthday))
        filed.append(file(program, "access", openid, requester="guardian"))
    owner.execute("UPDATE subject SET turns_14_on = current_date - 2")
    damaged = min(filed, key=lambda request: uuid.UUID(request["request_id"]))
    owner.execute(
        "UPDATE data_key SET wrapped = '\\x00' WHERE subject_id = (SELECT subject_id FROM request_subject WHERE request_id = %s)",
        [damaged["request_id"]],
    )
    with as_worker():
        tasks.remind()
    states = {request["request_id"]: shown(program, request)["state"] for request in filed}
    assert states.pop(damaged["request_id"]) == "verifying"
    assert set(states.values()) == {"rejected"}
    assert "a guardian's request stays" in caplog.text


def test_a_guardian_is_handed_no_package_once_the_child_is_14(
    program: Program, desk: Desk, owner: psycopg.Connection, as_worker: Working
) -> None:
    program.decide("alice", **guarded(minors_notice(program)))
    filed = file(program, "access", requester="guardian")
    verify(desk, filed, "guardianship")
    assert carry_out(program, as_worker, filed)["state"] == "completed"
    assert download(desk, filed).status_code == 302, "a minor's, which another officer approves"
    with tenant(program.id):
        waiting = MinorAccess.objects.get()
    minor_access.approve(program_id=program.id, access_id=waiting.pk, by="officer:0")
    assert download(desk, filed).status_code == 200
    owner.execute("UPDATE subject SET turns_14_on = current_date - 2")
    refused = download(desk, filed)
    assert (refused.status_code, refused.headers["Location"].endswith(f"{filed['request_id']}/change/")) == (302, True)
    assert owner.execute("SELECT count(*) FROM disclosure").fetchone() == (1,)


def test_the_command_verifies_too(program: Program, owner: psycopg.Connection) -> None:
    program.decide("alice")
    filed = file(program, "access", requester="agent")
    call_command(
        "review",
        "verify",
        program=program.id,
        request=uuid.UUID(filed["request_id"]),
        method="authority",
        reference="f",
    )
    assert shown(program, filed)["state"] == "approved"
    assert audited(owner, filed)[-1][:2] == ("request.verified", "operator")


def test_an_idempotent_call_is_answered_as_before(program: Program, desk: Desk) -> None:
    program.decide("alice")
    body = {"subject": {"openid": "alice"}, "kind": "erasure", "locale": "en", "requester": "agent"}
    first = program.post("requests", body, Idempotency_Key="k").json()
    verify(desk, first)
    assert program.post("requests", body, Idempotency_Key="k").json() == first


def test_a_reference_is_asked_for(program: Program, desk: Desk) -> None:
    filed = file(program, "access", requester="agent")
    page = f"consent/subjectrequest/{filed['request_id']}/verify/"
    assert desk.post(page, method="authority", reference=" ").status_code == 200
    assert shown(program, filed)["state"] == "verifying"


def test_verifying_twice_at_the_domain_is_a_conflict(program: Program) -> None:
    program.decide("alice")
    filed = file(program, "access")
    with pytest.raises(Conflict, match="not_verifying"):
        requesters.verify(
            vault=edge.vault(),
            program_id=program.id,
            request_id=uuid.UUID(filed["request_id"]),
            method=requesters.Method.DOCUMENTS,
            reference="x",
            undo=timedelta(0),
            by="test",
            on_due=print,
        )
    with tenant(program.id):
        assert review.reviewed_kinds(program.id) == []
