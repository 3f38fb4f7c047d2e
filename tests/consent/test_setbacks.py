"""Erasures that fail, what the surroundings do to a run, and rows that come back: none of it is a dead end."""

from typing import Any

import psycopg
import pytest
from django.db import InterfaceError, OperationalError

from consent.errors import Unavailable
from consent.rights.holders import Erased
from consent.vault.keyring import KeyringError
from tests.cast import Program, event
from tests.consent.rights import Working, carry_out, file, lively, overdue, problem, subject_of
from tracking.personal_data import EventHolder


def _raising(self: EventHolder, **more: Any) -> Erased:
    raise RuntimeError("DETAIL: row of alice")


def test_an_erasure_given_up_can_be_taken_back(
    program: Program, owner: psycopg.Connection, as_worker: Working, monkeypatch: pytest.MonkeyPatch
) -> None:
    program.decide("alice")
    first = _failed_erasure(program, owner, as_worker, monkeypatch)
    second = _failed_erasure(program, owner, as_worker, monkeypatch)
    problem(program.post(f"requests/{first['request_id']}/withdraw", None), 409, "not_undoable")
    assert program.send(event("alice", "before"))["results"][0]["code"] == "erasure_pending"
    for filed in (second, first):
        taken = program.post(f"requests/{filed['request_id']}/withdraw", None)
        assert (taken.status_code, taken.json()["state"]) == (200, "withdrawn")
    assert program.send(event("alice", "after"))["stored"] == 1
    program.decide("alice")
    failed = _failed_erasure(program, owner, as_worker, monkeypatch)
    open_one = file(program, "erasure")
    problem(program.post(f"requests/{failed['request_id']}/withdraw", None), 409, "not_undoable")
    overdue(owner)
    assert carry_out(program, as_worker, open_one)["state"] == "completed"
    problem(program.post(f"requests/{failed['request_id']}/withdraw", None), 409, "not_undoable")


def _failed_erasure(
    program: Program, owner: psycopg.Connection, as_worker: Working, monkeypatch: pytest.MonkeyPatch
) -> Any:
    filed = file(program, "erasure")
    overdue(owner)
    owner.execute("UPDATE holder_run SET attempts = 9 WHERE status = 'pending'")
    with monkeypatch.context() as patched:
        patched.setattr(EventHolder, "erase", _raising)
        assert carry_out(program, as_worker, filed)["state"] == "failed"
    return filed


@pytest.mark.parametrize(
    "error",
    [KeyringError("x"), OperationalError("x"), InterfaceError("x"), OSError("x"), Unavailable("keyring_behind", "x")],
    ids=repr,
)
def test_what_the_surroundings_did_is_no_attempt(
    program: Program,
    owner: psycopg.Connection,
    as_worker: Working,
    monkeypatch: pytest.MonkeyPatch,
    error: Exception,
) -> None:
    program.decide("alice")
    filed = file(program, "erasure")
    overdue(owner)
    owner.execute("UPDATE subject_request SET received_at = now() - interval '2 days', undo_until = NULL")
    owner.execute("UPDATE holder_run SET attempts = 9")

    def away(self: EventHolder, **more: Any) -> Erased:
        raise error

    with monkeypatch.context() as patched:
        patched.setattr(EventHolder, "erase", away)
        for _ in range(3):
            overdue(owner)
            assert carry_out(program, as_worker, filed)["state"] == "in_progress"
    row = owner.execute(
        "SELECT attempts, not_before > now() + interval '4 min', not_before <= now() + interval '5 min'"
        " FROM holder_run WHERE holder = 'tracking.events'"
    ).fetchone()
    assert row == (9, True, True)
    overdue(owner)
    assert carry_out(program, as_worker, filed)["state"] == "completed"


def test_rows_that_come_back_are_no_attempt(program: Program, owner: psycopg.Connection, as_worker: Working) -> None:
    alice = subject_of(owner, lively(program))
    filed = file(program, "erasure")
    owner.execute("UPDATE holder_run SET attempts = 9 WHERE holder = 'consent.subject'")
    for _ in range(3):
        overdue(owner)
        held_back = "UPDATE holder_run SET not_before = now() + interval '1 hour' WHERE holder = 'consent.subject'"
        owner.execute(held_back)
        carry_out(program, as_worker, filed)
        owner.execute("INSERT INTO subject_day SELECT %s, current_date, %s", [alice, program.id])
        overdue(owner)
        assert carry_out(program, as_worker, filed)["state"] == "in_progress"
    overdue(owner)
    assert carry_out(program, as_worker, filed)["state"] == "completed"
