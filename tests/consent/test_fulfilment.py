"""Carrying requests out: leases, retries, workers beside each other, hints and sweeps."""

import json
import logging
import os
import subprocess
import sys
import threading
import uuid
from datetime import timedelta
from typing import Any

import psycopg
import pytest
from django.db import connection

from config.logging import JsonFormatter
from consent.programs.tenancy import tenant
from consent.rights import fulfilment, runs, tasks
from consent.rights.holders import Erased
from consent.rights.models import HolderRun
from tests import hints
from tests.cast import Program, event
from tests.consent.rights import (
    Working,
    carry_out,
    erased,
    file,
    lively,
    overdue,
    package_of,
    sections,
    shown,
    subject_of,
    work,
)
from tests.stack import ROOT
from tracking.personal_data import EventHolder

SHORT = timedelta(milliseconds=200)


def test_a_run_is_one_workers_until_its_lease_ends(
    program: Program, owner: psycopg.Connection, as_worker: Working
) -> None:
    lively(program)
    filed = file(program, "erasure")
    overdue(owner)
    request_id = uuid.UUID(filed["request_id"])
    with as_worker():
        dead = runs.claim(program.id, request_id, lease=SHORT)
        assert dead is not None
        assert runs.claim(program.id, request_id, lease=SHORT) is None
        assert fulfilment.due(limit=10) == []
        _sleep(SHORT)
        assert fulfilment.due(limit=10) == [(request_id, program.id)]
        work(program, filed)
        with pytest.raises(runs.LeaseLost), runs.step(dead):
            pytest.fail("a worker whose lease is over goes on")
        runs.failed(dead, RuntimeError())
    assert shown(program, filed)["state"] == "completed"


def test_a_worker_that_was_thought_dead_changes_nothing(program: Program, as_worker: Working) -> None:
    program.decide("alice")
    filed = file(program, "access")
    request_id = uuid.UUID(filed["request_id"])
    with as_worker():
        first = runs.claim(program.id, request_id, lease=timedelta(0))
        second = runs.claim(program.id, request_id, lease=timedelta(seconds=30))
        assert first is not None
        assert second is not None
        assert first.id == second.id
        with pytest.raises(runs.LeaseLost), runs.step(first):
            pytest.fail("it goes on beside its successor")
        runs.failed(first, RuntimeError())
        with runs.step(second):
            runs.finished(second)
        with pytest.raises(runs.LeaseLost), runs.step(second):
            pytest.fail("it goes on after its end")
    assert shown(program, filed)["holders"][0]["status"] == "done"


def _sleep(span: timedelta) -> None:
    threading.Event().wait(span.total_seconds() + 0.05)


def test_workers_beside_each_other_do_each_step_once(
    program: Program, owner: psycopg.Connection, as_worker: Working
) -> None:
    lively(program)
    alice_again = file(program, "access")
    with as_worker():
        settings = dict(connection.settings_dict)
        _beside(4, settings, lambda: work(program, alice_again))
        document = sections(package_of(program, alice_again))
        assert len(document["events"]) == 6
    filed = file(program, "erasure")
    overdue(owner)
    with as_worker():
        _beside(4, settings, lambda: work(program, filed))
    answer = shown(program, filed)
    assert answer["state"] == "completed"
    assert {h["holder"]: h["affected"] for h in answer["holders"]}["tracking.events"] == 6


def _beside(count: int, settings: dict[str, Any], call: Any) -> None:
    errors: list[BaseException] = []

    def run() -> None:
        connection.settings_dict.update(settings)
        try:
            call()
        except BaseException as error:
            errors.append(error)
        finally:
            connection.close()

    threads = [threading.Thread(target=run) for _ in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert errors == []


def test_a_failure_is_tried_again_after_a_pause(
    program: Program, owner: psycopg.Connection, as_worker: Working, monkeypatch: pytest.MonkeyPatch
) -> None:
    lively(program)
    filed = file(program, "erasure")
    overdue(owner)
    with monkeypatch.context() as patched:
        patched.setattr(EventHolder, "erase", _raising)
        answer = carry_out(program, as_worker, filed)
    assert answer["state"] == "in_progress"
    events = of_events(answer)
    assert (events["status"], events["error"]) == ("pending", "RuntimeError")
    row = owner.execute(
        "SELECT not_before > now(), attempts FROM holder_run WHERE holder = 'tracking.events'"
    ).fetchone()
    assert row == (True, 1)
    assert carry_out(program, as_worker, filed)["state"] == "in_progress"
    overdue(owner)
    assert carry_out(program, as_worker, filed)["state"] == "completed"


def of_events(answer: Any) -> Any:
    """What the answer says of the events' holder."""
    (found,) = (holder for holder in answer["holders"] if holder["holder"] == "tracking.events")
    return found


def _raising(self: EventHolder, **more: Any) -> Erased:
    raise RuntimeError("DETAIL: row of alice")


def test_a_lost_connection_is_a_failure_like_another(
    program: Program, owner: psycopg.Connection, as_worker: Working, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As when PostgreSQL restarts under a step: what the step did is void, and the run is tried again."""
    lively(program)
    filed = file(program, "erasure")
    overdue(owner)
    erase = EventHolder.erase

    def cut_off(self: EventHolder, **more: Any) -> Erased:
        erase(self, **more)
        connection.connection.close()
        return erase(self, **more)

    with monkeypatch.context() as patched:
        patched.setattr(EventHolder, "erase", cut_off)
        answer = carry_out(program, as_worker, filed)
    events = of_events(answer)
    assert (events["status"], events["error"]) == ("pending", "database_error")
    assert owner.execute("SELECT count(*) FROM event").fetchone() == (6,)
    overdue(owner)
    assert carry_out(program, as_worker, filed)["state"] == "completed"


def test_an_erasure_given_up_leaves_the_gate_closed_and_can_be_filed_again(
    program: Program, owner: psycopg.Connection, as_worker: Working, monkeypatch: pytest.MonkeyPatch
) -> None:
    lively(program)
    filed = file(program, "erasure")
    with monkeypatch.context() as patched:
        patched.setattr(EventHolder, "erase", _raising)
        for _ in range(runs.MAX_ATTEMPTS):
            overdue(owner)
            answer = carry_out(program, as_worker, filed)
    assert answer["state"] == "failed"
    assert [h["status"] for h in answer["holders"]] == ["done", "failed", *["cancelled"] * 4]
    assert owner.execute("SELECT count(*) FROM audit_entry WHERE action = 'request.failed'").fetchone() == (1,)
    assert program.send(event("alice", "after"))["results"][0]["code"] == "erasure_pending"
    assert erased(program, owner, as_worker)["state"] == "completed"
    assert owner.execute("SELECT count(*) FROM subject").fetchone() == (0,)


def test_workers_that_die_each_time_end_in_failure_not_in_a_circle(
    program: Program, owner: psycopg.Connection, as_worker: Working
) -> None:
    program.decide("alice")
    filed = file(program, "access")
    with as_worker():
        for _ in range(runs.MAX_ATTEMPTS):
            assert runs.claim(program.id, uuid.UUID(filed["request_id"]), lease=timedelta(0)) is not None
    answer = carry_out(program, as_worker, filed)
    assert answer["state"] == "failed"
    assert answer["holders"][0]["error"] == "AttemptsExhausted"


def test_progress_earns_an_erasure_its_attempts_anew(
    program: Program, owner: psycopg.Connection, as_worker: Working, monkeypatch: pytest.MonkeyPatch
) -> None:
    lively(program)
    filed = file(program, "erasure")
    overdue(owner)
    owner.execute("UPDATE holder_run SET attempts = 9")
    monkeypatch.setattr(fulfilment, "ERASE_LIMIT", 1)
    calls = iter(range(100))
    erase = EventHolder.erase

    def every_other(self: EventHolder, **more: Any) -> Erased:
        return _raising(self) if next(calls) % 2 else erase(self, **more)

    monkeypatch.setattr(EventHolder, "erase", every_other)
    for _ in range(25):
        overdue(owner)
        answer = carry_out(program, as_worker, filed)
    assert answer["state"] == "completed"
    assert of_events(answer)["affected"] == 6


def test_a_request_left_between_its_last_run_and_its_end_is_closed(
    program: Program, owner: psycopg.Connection, as_worker: Working
) -> None:
    program.decide("alice")
    filed = file(program, "rectification", changes={"identifiers": {"unionid": "u"}})
    owner.execute("UPDATE holder_run SET status = 'done'")
    owner.execute("UPDATE subject_request SET state = 'in_progress'")
    with as_worker():
        assert fulfilment.due(limit=10) == [(uuid.UUID(filed["request_id"]), program.id)]
    assert carry_out(program, as_worker, filed)["state"] == "completed"


def test_what_is_due_is_found_in_every_mini_program(
    program: Program, other: Program, owner: psycopg.Connection, as_worker: Working
) -> None:
    program.decide("alice")
    mine, theirs = file(program, "access"), file(other, "access", "nobody")
    file(program, "erasure", "bob")
    with as_worker():
        found = fulfilment.due(limit=10)
    assert {str(request_id) for request_id, _ in found} == {mine["request_id"], theirs["request_id"]}
    assert {program_id for _, program_id in found} == {program.id, other.id}


# --- Logs, hints and sweeps --------------------------------------------------------------------------------------------


def test_no_log_line_and_no_error_names_anybody(
    program: Program,
    owner: psycopg.Connection,
    as_worker: Working,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.INFO)
    pseudonym = lively(program)
    subject_id = str(subject_of(owner, pseudonym))
    carry_out(program, as_worker, file(program, "access"))
    filed = file(program, "erasure")
    overdue(owner)
    with monkeypatch.context() as patched:
        patched.setattr(EventHolder, "erase", _raising)
        carry_out(program, as_worker, filed)
    overdue(owner)
    carry_out(program, as_worker, filed)
    lines = [JsonFormatter().format(record) for record in caplog.records]
    assert any(filed["request_id"] in line for line in lines)
    assert any("run failed" in line for line in lines)
    for line in lines:
        fields = json.loads(line)
        assert "alice" not in line
        assert pseudonym not in line
        assert not any(
            str(value) == subject_id for name, value in fields.items() if name not in ("affected", "attempts")
        )
    assert owner.execute("SELECT count(*) FROM holder_run WHERE error LIKE '%alice%'").fetchone() == (0,)


FILE = """
import json, sys, time
import config.wsgi
from django.test import Client
headers = {"Authorization": "Bearer " + sys.argv[1]}
started = time.monotonic()
response = Client(headers=headers, SERVER_NAME="localhost").post(
    "/api/v1/requests", json.loads(sys.argv[2]), content_type="application/json"
)
print(json.dumps([response.status_code, time.monotonic() - started, response.json()]))
"""


def test_with_the_broker_away_a_request_is_accepted_all_the_same(
    program: Program, owner: psycopg.Connection, as_worker: Working
) -> None:
    program.decide("alice")
    body = {"subject": {"openid": "alice"}, "kind": "access", "locale": "en"}
    done = subprocess.run(
        [sys.executable, "-c", FILE, program.key, json.dumps(body)],
        env={**os.environ, "REDIS_URL": "redis://127.0.0.1:1/0", "ZHIQING_ROLE": "application"},
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    status, seconds, answer = json.loads(done.stdout)
    assert status == 202, done.stderr
    assert seconds < 4
    assert "no broker to tell of a request" in done.stderr
    assert carry_out(program, as_worker, answer)["state"] == "completed"


def test_a_sweep_hands_out_what_is_due(program: Program, as_worker: Working, monkeypatch: pytest.MonkeyPatch) -> None:
    program.decide("alice")
    filed = file(program, "access")
    hinted: list[uuid.UUID] = []

    def hint(request_id: uuid.UUID) -> bool:
        hinted.append(request_id)
        return True

    monkeypatch.setattr(tasks, "hint", hint)
    with as_worker():
        tasks.sweep()
        assert hinted == [], "the hint of the filing waits: no worker has time for another"
        assert (tasks.fulfil.name, [filed["request_id"]]) in list(hints.taken())
        tasks.sweep()
        tasks.fulfil(str(hinted[0]))
        assert hinted == [uuid.UUID(filed["request_id"])]
        tasks.sweep()
        tasks.fulfil(str(uuid.uuid4()))
    assert len(hinted) == 1
    assert shown(program, filed)["state"] == "completed"
    with tenant(program.id):
        assert set(HolderRun.objects.values_list("status", flat=True)) == {"done"}


def test_old_idempotency_keys_are_forgotten(program: Program, owner: psycopg.Connection, as_worker: Working) -> None:
    body = {"subject": {"openid": "alice"}, "kind": "access", "locale": "en"}
    program.post("requests", body, Idempotency_Key="old")
    owner.execute("UPDATE idempotency_record SET created_at = now() - interval '25 hours'")
    with as_worker():
        tasks.housekeep()
    assert owner.execute("SELECT count(*) FROM idempotency_record").fetchone() == (0,)
