"""Account cancellation: every consent ends at the 202, then everything goes as at an erasure."""

import psycopg
import pytest
from django.core.management import call_command

from consent.rights import collected
from tests.cast import Program, now
from tests.consent.acts import act, refused, status
from tests.consent.deciding import audited, take_back
from tests.consent.rights import Working, ask, carry_out, file, lively, overdue, problem
from tests.consent.test_erasure import far_ids as far_ids
from tests.consent.test_erasure import places, traces_of
from tests.consent.test_requests import code_of


def test_it_ends_every_consent_at_its_202(program: Program, owner: psycopg.Connection) -> None:
    lively(program)
    filed = file(program, "cancellation")
    assert filed["state"] == "approved"
    assert filed["undo_until"] is not None
    assert code_of(program) == "erasure_pending"
    states: dict[str, str] = dict(
        owner.execute("SELECT p.code, s.state FROM consent_state s JOIN purpose p ON p.id = s.purpose_id").fetchall()
    )
    assert states == {"analytics": "withdrawn", "personalisation": "withdrawn", "precise_location": "refused"}
    methods = owner.execute("SELECT method, state FROM consent_record ORDER BY id DESC LIMIT 2").fetchall()
    assert methods == [("cancellation", "withdrawn")] * 2
    refused(program, act(program, ("analytics", "given")), 409, "erasure_pending")
    assert owner.execute("SELECT count(*) FROM withdrawal_intent").fetchone() == (0,)


def test_it_leaves_no_trace(program: Program, owner: psycopg.Connection, as_worker: Working, far_ids: None) -> None:
    pseudonym = lively(program)
    filed = file(program, "cancellation")
    traces = traces_of(owner, pseudonym, "alice")
    assert len(places(owner, traces)) > 5
    overdue(owner)
    answer = carry_out(program, as_worker, filed)
    assert answer["state"] == "completed"
    assert places(owner, traces) == []
    assert {holder["status"] for holder in answer["holders"]} == {"done"}
    assert all(
        at.endswith(("T00:00:00Z", "T00:00:00+00:00"))
        for at in (answer["received_at"], answer["closed_at"], answer["point_of_no_return_at"])
    )
    assert [action for action, *_ in audited(owner, filed)] == ["request.filed", "request.completed"]
    hours = owner.execute(
        "SELECT DISTINCT extract(hour FROM at AT TIME ZONE 'UTC') FROM audit_entry WHERE target LIKE 'request:%'"
    )
    assert hours.fetchall() == [(0,)]


def test_taken_back_the_account_is_there_and_consents_are_asked_anew(
    program: Program, owner: psycopg.Connection, as_worker: Working
) -> None:
    lively(program)
    stored = owner.execute("SELECT count(*) FROM event").fetchone()
    filed = file(program, "cancellation")
    with as_worker():
        collected.erase_due(seconds=10)
        call_command("purge")
    assert owner.execute("SELECT count(*) FROM event").fetchone() == stored, "the undo window is not over"
    in_the_gap = now()
    assert take_back(program, filed).json()["state"] == "withdrawn"
    assert code_of(program) == "consent_withdrawn"
    assert status(program, "alice")["state"] == "withdrawn"
    program.decide("alice")
    assert code_of(program, at=in_the_gap) == "outside_consent"
    assert code_of(program) == "stored"
    owner.execute("UPDATE purpose_erasure SET not_before = now()")
    with as_worker():
        collected.erase_due(seconds=10)
    assert owner.execute("SELECT count(*) FROM event").fetchone() == (1,), "what was withdrawn goes all the same"


@pytest.mark.parametrize(("first", "second"), [("erasure", "cancellation"), ("cancellation", "erasure")])
def test_of_erasure_and_cancellation_one_is_open(
    program: Program, owner: psycopg.Connection, first: str, second: str
) -> None:
    program.decide("alice")
    filed = file(program, first)
    for kind in (first, second):
        assert problem(ask(program, kind), 409, "request_open")["request_id"] == filed["request_id"]
    with pytest.raises(psycopg.errors.UniqueViolation):
        owner.execute(
            "INSERT INTO request_subject (subject_id, request_id, program_id, kind, scope, open)"
            " SELECT subject_id, gen_random_uuid(), program_id, %s, '', true FROM request_subject",
            [second],
        )


def test_about_nobody_it_completes_without_data(
    program: Program, owner: psycopg.Connection, as_worker: Working
) -> None:
    filed = file(program, "cancellation", "nobody")
    overdue(owner)
    assert carry_out(program, as_worker, filed)["state"] == "completed_no_data"
