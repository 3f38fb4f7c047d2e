"""Of two who decide on a request at once one wins, and the other is told."""

import os
from collections.abc import Callable
from typing import Any

import psycopg
import pytest

from tests.cast import Program
from tests.consent.acts import code
from tests.consent.deciding import approve, audited, reject, take_back
from tests.consent.desk import DECIDES, Desk, officer
from tests.consent.rights import (
    Working,
    carry_out,
    file,
    lively,
    overdue,
    problem,
    shown,
    work,
)
from tests.tracking.test_barrier import Caller, wait_for_waiters


def at_once(owner: psycopg.Connection, *acts: Callable[[], Any]) -> list[Any]:
    """The acts' answers, begun one after another while the subject's row is held: they meet at its lock."""
    with psycopg.connect(os.environ["DATABASE_OWNER_URL"]) as holding:
        holding.execute("SELECT FROM subject FOR NO KEY UPDATE")
        callers = []
        for place, act in enumerate(acts, start=1):
            callers.append(Caller(act))
            wait_for_waiters(owner, place)
    return [caller.result() for caller in callers]


@pytest.fixture
def second(program: Program) -> Desk:
    return officer("ada", program, may=DECIDES).enter(program)


@pytest.mark.parametrize("first", ["approve", "reject"])
def test_of_two_officers_one_decides(
    reviewed: Program, owner: psycopg.Connection, desk: Desk, second: Desk, first: str
) -> None:
    lively(reviewed)
    filed = file(reviewed, "erasure")
    acts = [lambda: approve(desk, filed), lambda: reject(second, filed)]
    answers = at_once(owner, *(acts if first == "approve" else acts[::-1]))
    won, lost = answers
    assert won == ("The request is approved." if first == "approve" else "The request is rejected.")
    assert lost == f"It has been {'approved' if first == 'approve' else 'rejected'} meanwhile; nothing was changed."
    state = "approved" if first == "approve" else "rejected"
    assert shown(reviewed, filed)["state"] == state
    assert [action for action, *_ in audited(owner, filed)] == ["request.filed", f"request.{state}"]
    assert code(reviewed, "after") == ("erasure_pending" if first == "approve" else None)


@pytest.mark.parametrize("decide", [approve, reject])
def test_an_officer_comes_after_the_taking_back(
    reviewed: Program, owner: psycopg.Connection, desk: Desk, decide: Callable[[Desk, Any], str]
) -> None:
    lively(reviewed)
    filed = file(reviewed, "erasure")
    taken, answer = at_once(owner, lambda: take_back(reviewed, filed), lambda: decide(desk, filed))
    assert taken.json()["state"] == "withdrawn"
    assert "taken the request back meanwhile" in answer
    assert shown(reviewed, filed)["state"] == "withdrawn"
    assert code(reviewed, "after") is None


@pytest.mark.parametrize("decide", [approve, reject])
def test_taking_back_comes_after_the_officer(
    reviewed: Program, owner: psycopg.Connection, desk: Desk, as_worker: Working, decide: Callable[[Desk, Any], str]
) -> None:
    """After a rejection it is too late; an approved erasure may be taken back until its window ends, as any other."""
    lively(reviewed)
    filed = file(reviewed, "erasure")
    _, taken = at_once(owner, lambda: decide(desk, filed), lambda: take_back(reviewed, filed))
    if decide is reject:
        problem(taken, 409, "not_undoable")
        assert shown(reviewed, filed)["state"] == "rejected"
    else:
        assert taken.json()["state"] == "withdrawn"
        overdue(owner)
        assert carry_out(reviewed, as_worker, filed)["state"] == "withdrawn"
    assert code(reviewed, "after") is None


@pytest.mark.parametrize("rejected", [True, False])
def test_what_ended_in_review_has_a_time(
    reviewed: Program, owner: psycopg.Connection, desk: Desk, rejected: bool
) -> None:
    """So that the migration that lets runs be without one reverses once nothing is in review."""
    lively(reviewed)
    filed = file(reviewed, "erasure")
    if rejected:
        reject(desk, filed)
    else:
        take_back(reviewed, filed)
    assert owner.execute("SELECT count(*) FROM holder_run WHERE not_before IS NULL").fetchone() == (0,)


def test_a_rejection_comes_after_the_worker(
    reviewed: Program, owner: psycopg.Connection, desk: Desk, second: Desk, as_worker: Working
) -> None:
    """Approved after its window, the erasure is begun at once; who rejects it then changes nothing."""
    lively(reviewed)
    filed = file(reviewed, "erasure")
    overdue(owner)
    approve(desk, filed)
    with as_worker(), psycopg.connect(os.environ["DATABASE_OWNER_URL"]) as holding:
        holding.execute("SELECT FROM subject FOR NO KEY UPDATE")
        working = Caller(lambda: work(reviewed, filed))
        wait_for_waiters(owner, 1)
        rejecting = Caller(lambda: reject(second, filed))
        wait_for_waiters(owner, 2)
        holding.rollback()
        working.join(10)
        assert rejecting.result() == "It has been approved meanwhile; nothing was changed."
    assert carry_out(reviewed, as_worker, filed)["state"] == "completed"
    assert owner.execute("SELECT count(*) FROM subject").fetchone() == (0,)


def test_a_worker_beside_a_rejection_erases_nothing(
    reviewed: Program, owner: psycopg.Connection, desk: Desk, as_worker: Working
) -> None:
    lively(reviewed)
    filed = file(reviewed, "erasure")
    overdue(owner)
    with psycopg.connect(os.environ["DATABASE_OWNER_URL"]) as holding:
        holding.execute("LOCK TABLE audit_entry IN EXCLUSIVE MODE")
        rejecting = Caller(lambda: reject(desk, filed))
        wait_for_waiters(owner, 1)
        with as_worker():
            working = Caller(lambda: work(reviewed, filed))
            wait_for_waiters(owner, 2)
            holding.rollback()
            assert rejecting.result() == "The request is rejected."
            working.join(10)
    assert shown(reviewed, filed)["state"] == "rejected"
    assert owner.execute("SELECT count(*) FROM event").fetchone() == (6,)
