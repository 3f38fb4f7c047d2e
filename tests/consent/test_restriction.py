"""Restriction (PIPL 44): from the 202 on the data are stored and neither added to nor read, until it is taken back."""

import os
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import psycopg
import pytest

from tests.cast import Program, now
from tests.consent.acts import status
from tests.consent.deciding import download, take_back
from tests.consent.desk import officer
from tests.consent.rights import Working, ask, carry_out, erased, file, lively, problem, shown
from tests.consent.test_requests import _closing, _wait_for_waiters, code_of


def counts(owner: psycopg.Connection) -> list[Any]:
    """What is stored of anybody."""
    row = owner.execute(
        "SELECT (SELECT count(*) FROM event), (SELECT count(*) FROM profile_attribute),"
        " (SELECT count(*) FROM consent_record), (SELECT count(*) FROM subject)"
    ).fetchone()
    assert row is not None
    return list(row)


def test_from_its_202_on_nothing_is_added_and_nothing_read(
    program: Program, owner: psycopg.Connection, as_worker: Working
) -> None:
    lively(program)
    record_id = owner.execute("SELECT record_id FROM consent_record LIMIT 1").fetchone()
    assert record_id is not None
    before = counts(owner)
    filed = file(program, "restriction")
    for _ in range(2):
        assert code_of(program) == "restricted"
        alice = {"subject": {"openid": "alice"}}
        for city in ("苏州", None):
            problem(program.call("PUT", "profile", alice | {"attributes": {"city": city}}), 422, "restricted")
        problem(program.post("consents/history", alice), 409, "restricted")
        problem(program.post("identities", alice | {"add": {"external_id": "u1"}}), 409, "restricted")
        problem(program.get(f"receipts/{record_id[0]}"), 409, "restricted")
        for kind in ("access", "copy", "portability", "explanation"):
            problem(ask(program, kind), 409, "restricted")
        found = status(program, "alice")
        assert (found["allowed"], found["may_prompt"]) == (False, False)
        answer = carry_out(program, as_worker, filed)
        assert answer["state"] == "completed"
        assert {holder["status"] for holder in answer["holders"]} == {"done"}
    assert counts(owner) == before
    assert owner.execute("SELECT count(*) FROM withdrawal_intent").fetchone() == (0,)


def test_a_package_that_is_there_is_not_handed_out_and_none_is_made(
    program: Program, owner: psycopg.Connection, as_worker: Working
) -> None:
    desk = officer("grace", program).enter(program)
    lively(program)
    made, being_made = file(program, "access"), file(program, "rectification", changes={"attributes": {"city": "x"}})
    carry_out(program, as_worker, made)
    carry_out(program, as_worker, being_made)
    under_way = file(program, "access")
    file(program, "restriction")
    assert download(desk, made).status_code == 302
    answer = carry_out(program, as_worker, under_way)
    assert answer["state"] == "failed"
    assert "restricted" in {holder["error"] for holder in answer["holders"]}


def test_it_comes_after_the_batch_in_flight(program: Program, owner: psycopg.Connection) -> None:
    """As an erasure does: the restriction waits for the batch, and what comes meanwhile steps aside."""
    program.decide("alice")
    with psycopg.connect(os.environ["DATABASE_OWNER_URL"]) as holding:
        holding.execute("LOCK TABLE page IN EXCLUSIVE MODE")
        with ThreadPoolExecutor(2) as threads:
            batch = threads.submit(_closing, lambda: program.send(_page_view()))
            _wait_for_waiters(owner, 1)
            restriction = threads.submit(_closing, lambda: file(program, "restriction"))
            _wait_for_waiters(owner, 2)
            assert code_of(program) == "consent_changing"
            assert not restriction.done()
            holding.rollback()
            assert batch.result(10)["stored"] == 1
            assert restriction.result(10)["state"] == "approved"
    assert code_of(program) == "restricted"


def _page_view() -> dict[str, Any]:
    return {
        "event_id": "e1",
        "name": "page_view",
        "subject": {"openid": "alice"},
        "occurred_at": now().isoformat(),
        "page": "pages/new",
    }


@pytest.mark.parametrize("done", [True, False])
def test_taking_it_back_reopens_from_its_own_time(
    program: Program, owner: psycopg.Connection, as_worker: Working, done: bool
) -> None:
    lively(program)
    filed = file(program, "restriction")
    if done:
        carry_out(program, as_worker, filed)
    in_the_gap = now()
    lifted = take_back(program, filed)
    assert (lifted.status_code, lifted.json()["state"]) == (200, "withdrawn")
    assert take_back(program, filed).json() == lifted.json()
    assert code_of(program, at=in_the_gap) == "outside_consent"
    assert code_of(program) == "stored"
    program.decide("alice")
    assert code_of(program, at=in_the_gap) == "outside_consent"
    assert file(program, "access")["state"] == "approved"
    assert owner.execute("SELECT count(*) FROM withdrawal_intent").fetchone() == (0,)
    assert owner.execute(
        "SELECT action FROM audit_entry WHERE target = %s ORDER BY id", [f"request:{filed['request_id']}"]
    ).fetchall() == [("request.filed",), *[("request.completed",)] * done, ("request.withdrawn",)]


def test_while_one_stands_there_is_no_other(program: Program, as_worker: Working) -> None:
    program.decide("alice")
    first = file(program, "restriction")
    assert problem(ask(program, "restriction"), 409, "request_open")["request_id"] == first["request_id"]
    carry_out(program, as_worker, first)
    assert problem(ask(program, "restriction"), 409, "request_open")["request_id"] == first["request_id"]
    assert code_of(program) == "restricted"
    take_back(program, first)
    second = file(program, "restriction")
    assert second["state"] == "approved"
    assert take_back(program, first).status_code == 200
    assert code_of(program) == "restricted"


def test_whoever_is_restricted_may_be_erased_and_a_lift_waits_for_that(
    program: Program, owner: psycopg.Connection, as_worker: Working
) -> None:
    lively(program)
    restriction = file(program, "restriction")
    carry_out(program, as_worker, restriction)
    erasure = file(program, "erasure")
    problem(take_back(program, restriction), 409, "erasure_pending")
    assert take_back(program, erasure).status_code == 200
    assert code_of(program) == "restricted"
    assert erased(program, owner, as_worker)["state"] == "completed"
    problem(take_back(program, restriction), 409, "not_undoable")
    assert shown(program, restriction)["state"] == "completed"


def test_what_a_rejection_restricted_stays_so_and_may_be_seen_again(
    program: Program, owner: psycopg.Connection, as_worker: Working
) -> None:
    lively(program)
    restriction = file(program, "restriction")
    carry_out(program, as_worker, restriction)
    erasure = file(program, "erasure")
    take_back(program, erasure)
    owner.execute(
        "UPDATE subject_request SET state = 'rejected', rejection = 'retention_required' WHERE id = %s",
        [erasure["request_id"]],
    )
    owner.execute("UPDATE request_subject SET rejection = 'x' WHERE request_id = %s", [erasure["request_id"]])
    problem(ask(program, "access"), 409, "restricted")
    assert take_back(program, restriction).json()["state"] == "withdrawn"
    assert code_of(program) == "restricted"
    assert file(program, "access")["state"] == "approved"
    assert owner.execute("SELECT count(*) FROM withdrawal_intent").fetchone() == (0,)


def test_about_nobody_it_completes_without_data(
    program: Program, owner: psycopg.Connection, as_worker: Working
) -> None:
    filed = file(program, "restriction", "nobody")
    assert carry_out(program, as_worker, filed)["state"] == "completed_no_data"
    assert owner.execute("SELECT count(*) FROM subject").fetchone() == (0,)
