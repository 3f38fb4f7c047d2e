"""Requests that an officer decides on: nothing is done before, and of two who decide at once one wins."""

import uuid
from datetime import UTC, datetime, timedelta
from typing import Any

import psycopg
import pytest
from django.db import IntegrityError

from consent.programs.tenancy import tenant
from consent.rights import collected, fulfilment, review, tasks
from consent.rights.deadlines import extended
from consent.rights.models import SubjectRequest
from consent.rights.review import set_review
from tests.cast import Program, now
from tests.consent.acts import code
from tests.consent.deciding import TEXT, approve, audited, extend, reject, take_back
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
    work,
)
from tests.consent.test_erasure import places


def test_an_erasure_in_review_closes_the_gate_and_erases_nothing(
    reviewed: Program, owner: psycopg.Connection, as_worker: Working
) -> None:
    lively(reviewed)
    filed = file(reviewed, "erasure")
    assert filed["state"] == "in_review"
    assert filed["undo_until"] > now().isoformat()
    assert code(reviewed, "after") == "erasure_pending"
    problem(ask(reviewed, "access"), 409, "erasure_pending")
    overdue(owner)
    with as_worker():
        assert fulfilment.due(limit=10) == []
        work(reviewed, filed)
    answer = shown(reviewed, filed)
    assert (answer["state"], {holder["status"] for holder in answer["holders"]}) == ("in_review", {"pending"})
    assert (answer["rejection"], answer["extended"]) == (None, None)
    assert owner.execute("SELECT count(*) FROM event").fetchone() == (6,)
    assert [row["request_id"] for row in reviewed.get("requests").json()["results"]] == [filed["request_id"]]


def test_other_kinds_are_not_reviewed(reviewed: Program, as_worker: Working) -> None:
    lively(reviewed)
    filed = file(reviewed, "access")
    assert filed["state"] == "approved"
    assert carry_out(reviewed, as_worker, filed)["state"] == "completed"


def test_without_the_switch_an_erasure_is_carried_out_as_before(
    program: Program, owner: psycopg.Connection, as_worker: Working
) -> None:
    set_review(program_id=program.id, kind="erasure", on=True, by="test")
    assert set_review(program_id=program.id, kind="erasure", on=False, by="test")
    lively(program)
    filed = file(program, "erasure")
    overdue(owner)
    assert (filed["state"], carry_out(program, as_worker, filed)["state"]) == ("approved", "completed")


def test_switching_off_approves_nothing(reviewed: Program, owner: psycopg.Connection, as_worker: Working) -> None:
    lively(reviewed)
    filed = file(reviewed, "erasure")
    set_review(program_id=reviewed.id, kind="erasure", on=False, by="test")
    overdue(owner)
    with as_worker():
        tasks.sweep()
    assert carry_out(reviewed, as_worker, filed)["state"] == "in_review"


def test_a_mini_programs_switch_is_its_own(reviewed: Program, other: Program) -> None:
    other.decide("alice")
    assert file(other, "erasure")["state"] == "approved"


def test_a_subject_nobody_knows_is_answered_alike_and_completes_when_approved(
    reviewed: Program, desk: Desk, owner: psycopg.Connection, as_worker: Working
) -> None:
    filed = file(reviewed, "erasure", "nobody")
    assert filed["state"] == "in_review"
    overdue(owner)
    assert carry_out(reviewed, as_worker, filed)["state"] == "in_review"
    assert reject(desk, filed).startswith("Nothing is held about this person")
    assert shown(reviewed, filed)["state"] == "in_review"
    assert approve(desk, filed) == "The request is approved."
    assert carry_out(reviewed, as_worker, filed)["state"] == "completed_no_data"


def test_the_same_idempotency_key_gives_the_first_answer_again(reviewed: Program, desk: Desk) -> None:
    reviewed.decide("alice")
    body = {"subject": {"openid": "alice"}, "kind": "erasure", "locale": "en"}
    first = reviewed.post("requests", body, Idempotency_Key="k").json()
    extend(desk, first)
    approve(desk, first)
    assert reviewed.post("requests", body, Idempotency_Key="k").json() == first


def test_an_approved_erasure_keeps_its_undo_window(
    reviewed: Program, desk: Desk, owner: psycopg.Connection, as_worker: Working
) -> None:
    lively(reviewed)
    filed = file(reviewed, "erasure")
    approve(desk, filed)
    assert carry_out(reviewed, as_worker, filed)["state"] == "approved"
    due = owner.execute("SELECT DISTINCT not_before FROM holder_run").fetchall()
    assert due == [(datetime.fromisoformat(filed["undo_until"]),)]
    assert audited(owner, filed)[-1] == ("request.approved", f"officer:{desk.user.pk}", {"kind": "erasure"})
    assert take_back(reviewed, filed).json()["state"] == "withdrawn"


def test_an_erasure_approved_after_its_window_runs_at_once(
    reviewed: Program, desk: Desk, owner: psycopg.Connection, as_worker: Working
) -> None:
    lively(reviewed)
    filed = file(reviewed, "erasure")
    overdue(owner)
    approve(desk, filed)
    problem(take_back(reviewed, filed), 409, "not_undoable")
    assert carry_out(reviewed, as_worker, filed)["state"] == "completed"
    assert owner.execute("SELECT count(*) FROM subject").fetchone() == (0,)


def test_the_workers_are_told_of_what_is_due_at_once_only(reviewed: Program, owner: psycopg.Connection) -> None:
    told: list[uuid.UUID] = []
    for openid, late in (("alice", False), ("bob", True)):
        reviewed.decide(openid)
        filed = file(reviewed, "erasure", openid)
        if late:
            overdue(owner)
        request_id = uuid.UUID(filed["request_id"])
        review.approve(program_id=reviewed.id, request_id=request_id, by="test", on_approved=told.append)
        assert told == ([request_id] if late else [])


def test_it_may_be_taken_back_as_long_as_it_is_in_review(
    reviewed: Program, desk: Desk, owner: psycopg.Connection
) -> None:
    lively(reviewed)
    filed = file(reviewed, "erasure")
    overdue(owner)
    assert take_back(reviewed, filed).json()["state"] == "withdrawn"
    assert code(reviewed, "after") is None
    for decide in (approve, reject):
        assert "taken the request back meanwhile" in decide(desk, filed)
    assert shown(reviewed, filed)["state"] == "withdrawn"


def test_a_rejection_tells_why_and_how_to_complain_and_opens_the_gate_from_now_on(
    reviewed: Program, desk: Desk, owner: psycopg.Connection, as_worker: Working
) -> None:
    lively(reviewed)
    filed = file(reviewed, "erasure")
    in_the_gap = now()
    assert reject(desk, filed) == "The request is rejected."
    answer = shown(reviewed, filed)
    assert (answer["state"], {holder["status"] for holder in answer["holders"]}) == ("rejected", {"cancelled"})
    assert answer["closed_at"] is not None
    rejection = answer["rejection"]
    assert (rejection["code"], rejection["article"]) == ("identity_not_verified", "50")
    assert rejection["detail"] == "我们无法确认该请求来自所涉信息的本人。"
    assert rejection["text"].startswith(TEXT)
    for told in ("privacy@example.com", "第六十五条", "人民法院", "第五十条"):
        assert told in rejection["text"]
    assert code(reviewed, "in the gap", at=in_the_gap) == "outside_consent"
    assert code(reviewed, "after") is None
    assert reviewed.get("requests").json()["results"] == []
    details = {"kind": "erasure", "rejection": "identity_not_verified"}
    assert audited(owner, filed)[-1] == ("request.rejected", f"officer:{desk.user.pk}", details)
    overdue(owner)
    assert carry_out(reviewed, as_worker, filed)["state"] == "rejected"
    assert owner.execute("SELECT count(*) FROM event").fetchone() == (7,)
    assert file(reviewed, "erasure")["request_id"] != filed["request_id"]


def test_the_text_is_in_the_requests_language(reviewed: Program, desk: Desk) -> None:
    reviewed.decide("alice")
    filed = file(reviewed, "erasure", locale="en-GB")
    reject(desk, filed, "not_data_subject", "Please ask in person.")
    rejection = shown(reviewed, filed)["rejection"]
    assert rejection["article"] == "44"
    assert rejection["detail"].startswith("The request came from somebody else")
    assert rejection["text"].startswith("Please ask in person.\n\nIf you disagree")
    assert "people's court (Article 50)" in rejection["text"]
    assert "Example Retail Ltd" in rejection["text"]


def test_the_text_is_sealed_is_in_the_package_and_goes_with_the_subject(
    reviewed: Program, desk: Desk, owner: psycopg.Connection, as_worker: Working
) -> None:
    lively(reviewed)
    filed = file(reviewed, "erasure")
    reject(desk, filed)
    assert places(owner, [TEXT]) == []
    access = file(reviewed, "access")
    carry_out(reviewed, as_worker, access)
    row = sections(package_of(reviewed, access))["requests"][0]
    assert row["rejection"] == shown(reviewed, filed)["rejection"]
    again = file(reviewed, "erasure")
    assert shown(reviewed, filed)["rejection"]["text"] is None, "an erasure closes what is held to reading"
    overdue(owner)
    approve(desk, again)
    assert carry_out(reviewed, as_worker, again)["state"] == "completed"
    left = shown(reviewed, filed)["rejection"]
    assert (left["code"], left["text"]) == ("identity_not_verified", None)


@pytest.mark.parametrize("reason", ["retention_required", "technically_infeasible"])
def test_data_that_stay_by_law_are_restricted(
    reviewed: Program, desk: Desk, owner: psycopg.Connection, as_worker: Working, reason: str
) -> None:
    lively(reviewed)
    filed = file(reviewed, "erasure")
    reject(desk, filed, reason)
    assert shown(reviewed, filed)["rejection"]["article"] == "47"
    assert code(reviewed, "after") == "restricted"
    reviewed.decide("alice", "withdrawn")
    owner.execute("UPDATE purpose_erasure SET not_before = clock_timestamp()")
    with as_worker():
        assert collected.erase_due(seconds=10) == (0, 0)
    kept = owner.execute("SELECT count(*), (SELECT count(*) FROM purpose_erasure WHERE done_at IS NULL) FROM event")
    assert kept.fetchone() == (6, 1), "a withdrawal erases nothing that the person was told a law keeps"
    with tenant(reviewed.id):
        assert collected.overdue_in(reviewed.id, now=now(), within=timedelta(0)) == 0
    reviewed.decide("alice")
    assert code(reviewed, "later") == "restricted"
    assert file(reviewed, "access")["state"] == "approved", "the person may still see what is held"


def test_a_deadline_moves_once_and_the_api_tells_why(reviewed: Program, desk: Desk, owner: psycopg.Connection) -> None:
    reviewed.decide("alice")
    filed = file(reviewed, "erasure")
    assert extend(desk, filed) == "The deadline is extended."
    answer = shown(reviewed, filed)
    moved = extended(datetime.fromisoformat(filed["due_at"]), 5, zone="Asia/Shanghai")
    assert datetime.fromisoformat(answer["due_at"]) == moved
    assert answer["extended"] == {
        "due_at": answer["due_at"], "first_due_at": filed["due_at"], "reason": "verification",
    }  # fmt: skip
    assert reviewed.get("requests").json()["results"][0]["extended"] == answer["extended"]
    details = {"kind": "erasure", "extension": "verification", "working_days": "5"}
    assert audited(owner, filed)[-1] == ("request.extended", f"officer:{desk.user.pk}", details)
    assert "extended before" in extend(desk, filed)
    assert shown(reviewed, filed)["due_at"] == answer["due_at"]


def test_any_open_request_may_be_extended_and_no_closed_or_late_one(
    program: Program, desk: Desk, owner: psycopg.Connection, as_worker: Working
) -> None:
    program.decide("alice")
    access = file(program, "access")
    assert extend(desk, access) == "The deadline is extended."
    carry_out(program, as_worker, access)
    done = file(program, "access")
    carry_out(program, as_worker, done)
    assert "closed" in extend(desk, done)
    late = file(program, "access")
    owner.execute("UPDATE subject_request SET due_at = now() WHERE id = %s", [late["request_id"]])
    assert "over" in extend(desk, late)
    assert shown(program, late)["extended"] is None


@pytest.mark.parametrize(
    ("due", "days", "moved"),
    [
        ("2026-11-24T10:00:00+08:00", 1, "2026-11-25T10:00:00+08:00"),
        ("2026-11-27T10:00:00+08:00", 1, "2026-11-30T10:00:00+08:00"),
        ("2026-11-27T10:00:00+08:00", 15, "2026-12-18T10:00:00+08:00"),
        # Friday evening in London is Saturday morning in Shanghai.
        ("2026-11-27T20:00:00+00:00", 1, "2026-11-30T04:00:00+08:00"),
    ],
)
def test_an_extension_counts_working_days_of_the_mini_programs_zone(due: str, days: int, moved: str) -> None:
    assert extended(datetime.fromisoformat(due), days, zone="Asia/Shanghai") == datetime.fromisoformat(moved)


def test_what_stays_of_an_extended_erasure_names_days_only(
    reviewed: Program, desk: Desk, owner: psycopg.Connection, as_worker: Working
) -> None:
    lively(reviewed)
    filed = file(reviewed, "erasure")
    extend(desk, filed, days=1)
    overdue(owner)
    approve(desk, filed)
    assert carry_out(reviewed, as_worker, filed)["state"] == "completed"
    rows = owner.execute("SELECT received_at, due_at, extended_from, undo_until, closed_at FROM subject_request")
    found = {moment.astimezone(UTC).strftime("%H%M%S%f") for row in rows.fetchall() for moment in row}
    assert found == {"000000000000"}
    times = owner.execute("SELECT at FROM audit_entry WHERE target LIKE 'request:%'").fetchall()
    assert {moment.astimezone(UTC).strftime("%H%M%S%f") for (moment,) in times} == {"000000000000"}


# --- The database -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "values",
    [
        {"state": "rejected", "closed_at": now()},
        {"rejection": "identity_not_verified"},
        {"state": "rejected", "closed_at": now(), "rejection": "because"},
        {"extension": "complex"},
        {"extended_from": now()},
        {"extension": "complex", "extended_from": now() + timedelta(days=90)},
    ],
)
def test_no_request_is_rejected_or_extended_without_a_reason(program: Program, values: dict[str, Any]) -> None:
    program.decide("alice")
    filed = file(program, "access")
    with pytest.raises(IntegrityError, match="violates check constraint"), tenant(program.id):
        SubjectRequest.objects.filter(id=filed["request_id"]).update(**values)
