"""An officer has a holder that stopped try again."""

import uuid
from datetime import timedelta
from typing import Any

import psycopg
import pytest

from consent.errors import Conflict, NotFound
from consent.programs.tenancy import tenant
from consent.rights import legal_holds, queries, retrying, runs
from consent.rights.holders import Erased
from consent.rights.models import HoldGround
from tests.cast import Program, event, now
from tests.consent.deciding import reject
from tests.consent.desk import Desk
from tests.consent.rights import (
    KEPT,
    Working,
    carry_out,
    file,
    lively,
    overdue,
    package_of,
    sections,
    shown,
)
from tracking.personal_data import EventHolder

BY = "officer:1"


def raising(self: EventHolder, **more: Any) -> Erased:
    raise RuntimeError("DETAIL: row of alice")


def failed(
    program: Program,
    owner: psycopg.Connection,
    as_worker: Working,
    monkeypatch: pytest.MonkeyPatch,
    kind: str,
    what: str,
) -> Any:
    """A request whose holder of events has given up."""
    filed = file(program, kind)
    with monkeypatch.context() as patched:
        patched.setattr(EventHolder, what, raising)
        for _ in range(runs.MAX_ATTEMPTS):
            overdue(owner)
            answer = carry_out(program, as_worker, filed)
    assert answer["state"] == "failed"
    return filed


def run_of(owner: psycopg.Connection, filed: Any, holder: str = "tracking.events") -> int:
    row = owner.execute(
        "SELECT id FROM holder_run WHERE request_id = %s AND holder = %s", [filed["request_id"], holder]
    ).fetchone()
    assert row is not None
    return int(row[0])


def retry(program: Program, run_id: int) -> list[uuid.UUID]:
    """What is due then."""
    told: list[uuid.UUID] = []
    retrying.retry(program_id=program.id, run_id=run_id, package_kept=KEPT, by=BY, on_due=told.append)
    return told


def refused(program: Program, run_id: int, code: str) -> None:
    with pytest.raises(Conflict) as caught:
        retry(program, run_id)
    assert caught.value.code == code


def test_a_run_that_waits_after_a_failure_is_due_at_once_with_its_attempts_before_it(
    program: Program, owner: psycopg.Connection, as_worker: Working, monkeypatch: pytest.MonkeyPatch
) -> None:
    lively(program)
    filed = file(program, "erasure")
    overdue(owner)
    with monkeypatch.context() as patched:
        patched.setattr(EventHolder, "erase", raising)
        carry_out(program, as_worker, filed)
    run_id = run_of(owner, filed)
    owner.execute("UPDATE holder_run SET attempts = 9, not_before = now() + interval '1 hour' WHERE id = %s", [run_id])
    assert retry(program, run_id) == [uuid.UUID(filed["request_id"])]
    row = owner.execute("SELECT attempts, not_before <= now() FROM holder_run WHERE id = %s", [run_id]).fetchone()
    assert row == (0, True)
    entry = owner.execute(
        "SELECT actor, target, details, at = date_trunc('day', at, 'UTC') FROM audit_entry"
        " WHERE action = 'request.holder_retried'"
    ).fetchone()
    told = {"kind": "erasure", "holder": "tracking.events"}
    assert entry == (BY, f"request:{filed['request_id']}", told, True)
    assert carry_out(program, as_worker, filed)["state"] == "completed"


def test_an_erasure_that_was_given_up_goes_on(
    program: Program, owner: psycopg.Connection, as_worker: Working, monkeypatch: pytest.MonkeyPatch
) -> None:
    lively(program)
    filed = failed(program, owner, as_worker, monkeypatch, "erasure", "erase")
    before = shown(program, filed)
    retry(program, run_of(owner, filed))
    answer = shown(program, filed)
    assert (answer["state"], answer["due_at"]) == ("in_progress", before["due_at"])
    assert program.send(event("alice", "after"))["results"][0]["code"] == "erasure_pending"
    assert (
        program.post("requests", {"subject": {"openid": "alice"}, "kind": "erasure", "locale": "en"}).json()[
            "request_id"
        ]
        == filed["request_id"]
    ), "it is open again, so there is no second"
    assert carry_out(program, as_worker, filed)["state"] == "completed"
    assert owner.execute("SELECT count(*) FROM subject").fetchone() == (0,)


def test_a_package_is_made_anew_although_the_first_one_had_expired(
    program: Program, owner: psycopg.Connection, as_worker: Working, monkeypatch: pytest.MonkeyPatch
) -> None:
    lively(program)
    filed = failed(program, owner, as_worker, monkeypatch, "access", "export")
    owner.execute("UPDATE package SET expires_at = now() - interval '1 minute'")
    owner.execute("UPDATE holder_run SET status = 'done' WHERE holder = 'consent.records'")
    retry(program, run_of(owner, filed))
    assert owner.execute("SELECT count(*) FROM package WHERE expires_at <= now()").fetchone() == (0,)
    assert carry_out(program, as_worker, filed)["state"] == "completed"
    found = sections(package_of(program, filed))
    assert len(found["events"]) == 6 and found["records"]


def test_what_is_done_running_held_or_not_yet_due_is_left_alone(
    program: Program, owner: psycopg.Connection, as_worker: Working
) -> None:
    lively(program)
    filed = file(program, "erasure")
    run_id = run_of(owner, filed)
    refused(program, run_id, "run_not_stopped")  # it may still be taken back
    owner.execute("UPDATE holder_run SET status = 'running', error = 'RuntimeError' WHERE id = %s", [run_id])
    refused(program, run_id, "run_running")
    owner.execute("UPDATE holder_run SET status = 'pending', error = '' WHERE id = %s", [run_id])
    legal_holds.hold(
        program_id=program.id, holder="tracking.events", ground=HoldGround.OTHER, law="a law",
        until=now().date() + timedelta(days=2), request_id=None, by="test",
    )  # fmt: skip
    overdue(owner)
    assert carry_out(program, as_worker, filed)["state"] == "partially_completed"
    refused(program, run_id, "run_held")
    refused(program, run_of(owner, filed, "consent.records"), "run_done")
    assert owner.execute("SELECT count(*) FROM audit_entry WHERE action = 'request.holder_retried'").fetchone() == (0,)


def test_what_was_cancelled_with_it_and_what_waits_for_an_officer_are_no_stopped_runs(
    program: Program, owner: psycopg.Connection, as_worker: Working, monkeypatch: pytest.MonkeyPatch
) -> None:
    lively(program)
    filed = failed(program, owner, as_worker, monkeypatch, "erasure", "erase")
    refused(program, run_of(owner, filed, "consent.records"), "run_not_stopped")
    owner.execute("UPDATE subject_request SET state = 'withdrawn'")
    refused(program, run_of(owner, filed), "run_not_stopped")
    owner.execute("UPDATE subject_request SET state = 'in_review', closed_at = NULL")
    owner.execute("UPDATE holder_run SET status = 'pending', error = 'x', not_before = now() + interval '1 hour'")
    refused(program, run_of(owner, filed), "run_not_stopped")


def test_a_later_request_of_the_kind_is_not_overtaken(
    program: Program, owner: psycopg.Connection, as_worker: Working, monkeypatch: pytest.MonkeyPatch
) -> None:
    lively(program)
    filed = failed(program, owner, as_worker, monkeypatch, "access", "export")
    carry_out(program, as_worker, file(program, "access"))
    refused(program, run_of(owner, filed), "asked_again")
    assert shown(program, filed)["state"] == "failed"


def test_a_claim_of_somebody_elses_that_nobody_verified_neither_hides_it_nor_stands_in_its_way(
    program: Program, desk: Desk, owner: psycopg.Connection, as_worker: Working, monkeypatch: pytest.MonkeyPatch
) -> None:
    lively(program)
    filed = failed(program, owner, as_worker, monkeypatch, "access", "export")
    asked, text = uuid.UUID(filed["request_id"]), "Nobody knows you here."
    for requester, refuses in (("agent", True), ("guardian", False)):
        claim = file(program, "access", requester=requester)
        if refuses:
            reject(desk, claim, reason="identity_not_verified", text=text)
        with tenant(program.id):
            assert [one.pk for one in queries.given_up(program.id)] == [asked]
    assert len(retry(program, run_of(owner, filed))) == 1
    assert carry_out(program, as_worker, filed)["state"] == "completed"


def put_right(program: Program, owner: psycopg.Connection) -> int:
    """A rectification whose holder of the profile has given up; the run's id."""
    filed = file(program, "rectification", changes={"attributes": {"city": "苏州"}})
    owner.execute("UPDATE holder_run SET status = 'failed', finished_at = now() WHERE holder = 'consent.profile'")
    owner.execute("UPDATE subject_request SET state = 'failed', closed_at = now()")
    return run_of(owner, filed, "consent.profile")


def test_a_rectification_does_not_put_back_what_was_written_since(program: Program, owner: psycopg.Connection) -> None:
    lively(program)
    run = put_right(program, owner)
    profile = {"subject": {"openid": "alice"}, "attributes": {"city": "北京"}}
    assert program.call("PUT", "profile", profile).status_code == 200
    refused(program, run, "asked_again")


def test_a_rectification_goes_on_where_what_it_asks_is_there(program: Program, owner: psycopg.Connection) -> None:
    lively(program)
    run = put_right(program, owner)
    owner.execute("UPDATE request_subject SET sealed = NULL")
    refused(program, run, "asked_again")
    owner.execute("UPDATE request_subject SET sealed = 'x'")
    assert len(retry(program, run)) == 1


def test_an_older_request_that_was_verified_since_stands_in_its_way(
    program: Program, owner: psycopg.Connection, as_worker: Working, monkeypatch: pytest.MonkeyPatch
) -> None:
    lively(program)
    filed = failed(program, owner, as_worker, monkeypatch, "access", "export")
    newer = file(program, "access")
    owner.execute(
        "UPDATE subject_request SET received_at = received_at - interval '1 day' WHERE id = %s", [newer["request_id"]]
    )
    refused(program, run_of(owner, filed), "asked_again")


def test_an_erasure_whose_gate_was_opened_again_erases_nothing(
    program: Program, owner: psycopg.Connection, as_worker: Working, monkeypatch: pytest.MonkeyPatch
) -> None:
    lively(program)
    filed = failed(program, owner, as_worker, monkeypatch, "erasure", "erase")
    owner.execute("UPDATE subject SET erasure_pending = false")
    refused(program, run_of(owner, filed), "asked_again")


def test_what_could_not_be_filed_now_does_not_go_on_now(
    program: Program, owner: psycopg.Connection, as_worker: Working, monkeypatch: pytest.MonkeyPatch
) -> None:
    lively(program)
    filed = failed(program, owner, as_worker, monkeypatch, "access", "export")
    owner.execute("UPDATE subject_request SET requester = 'guardian'; UPDATE consent_record SET age_band = 'adult'")
    refused(program, run_of(owner, filed), "guardian_not_needed")
    owner.execute("UPDATE subject_request SET requester = 'self'")
    carry_out(program, as_worker, file(program, "restriction"))
    refused(program, run_of(owner, filed), "restricted")
    file(program, "erasure")
    refused(program, run_of(owner, filed), "erasure_pending")


def test_nobody_elses_run_and_nobody_who_is_gone(
    program: Program, other: Program, owner: psycopg.Connection, as_worker: Working, monkeypatch: pytest.MonkeyPatch
) -> None:
    lively(program)
    filed = failed(program, owner, as_worker, monkeypatch, "access", "export")
    with pytest.raises(NotFound):
        retry(other, run_of(owner, filed))
    owner.execute("DELETE FROM request_subject")
    refused(program, run_of(owner, filed), "nobody_known")
