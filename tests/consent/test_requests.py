"""Filing, following and taking back requests, over HTTP."""

import base64
import os
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import psycopg
import pytest
from django.db import connection

from consent.rights.deadlines import Deadlines, due_at
from tests.cast import Program, event, now
from tests.consent.rights import Working, ask, carry_out, file, lively, overdue, problem, shown, work


def code_of(program: Program, openid: str = "alice", at: datetime | None = None) -> str | None:
    """What becomes of an event sent now."""
    result = program.send(event(openid, f"e-{now().timestamp()}", at))["results"][0]
    return str(result.get("code", result["result"]))


# --- The answer of a filing ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["access", "rectification", "erasure"])
def test_a_subject_nobody_knows_is_answered_like_one_who_is_known(
    program: Program, owner: psycopg.Connection, as_worker: Working, kind: str
) -> None:
    program.decide("alice", purpose="personalisation")
    more = {"changes": {"attributes": {"city": "苏州"}}} if kind == "rectification" else {}
    known, unknown = file(program, kind, "alice", **more), file(program, kind, "nobody", **more)
    assert known.keys() == unknown.keys()
    for name in ("kind", "state"):
        assert known[name] == unknown[name]
    assert len(known["claim_url"]) == len(unknown["claim_url"])
    assert _span(known, "due_at") == _span(unknown, "due_at")
    assert _span(known, "undo_until") == _span(unknown, "undo_until")
    before = [shown(program, filed) for filed in (known, unknown)]
    assert before[0]["holders"] == before[1]["holders"]
    overdue(owner)
    assert carry_out(program, as_worker, unknown)["state"] == "completed_no_data"
    assert owner.execute("SELECT count(*) FROM request_subject").fetchone() == (1,)
    assert owner.execute("SELECT count(*) FROM subject").fetchone() == (1,)


def _span(filed: Any, name: str) -> timedelta | None:
    if filed[name] is None:
        return None
    return datetime.fromisoformat(filed[name]) - datetime.fromisoformat(filed["received_at"])


@pytest.mark.parametrize(
    ("received", "due"),
    [
        ("2026-11-02T10:00:00+00:00", "2026-11-23T10:00:00+00:00"),  # a Monday: three weeks
        ("2026-11-06T20:00:00+00:00", "2026-11-26T20:00:00+00:00"),  # a Friday, and Saturday in Shanghai
        ("2026-11-07T10:00:00+00:00", "2026-11-27T10:00:00+00:00"),  # a Saturday
    ],
)
def test_a_request_is_due_after_fifteen_working_days(received: str, due: str) -> None:
    moment = datetime.fromisoformat(received)
    assert due_at(moment, Deadlines(), zone="Asia/Shanghai") == datetime.fromisoformat(due)
    assert due_at(moment, Deadlines(working_days=100), zone="Asia/Shanghai") == moment + timedelta(days=30)


@pytest.mark.parametrize(
    ("body", "code", "pointer"),
    [
        ({"kind": "objection"}, "scope_missing", "/scope"),
        ({"kind": "objection", "scope": {"purposes": ["analytics", "x"]}}, "unknown_purpose", "/scope/purposes/1"),
        ({"kind": "access", "changes": {"attributes": {"city": "x"}}}, "not_taken", "/changes"),
        ({"kind": "access", "recipient": {"name": "x"}}, "not_taken", "/recipient"),
        ({"kind": "erasure", "scope": {"purposes": ["analytics"]}}, "not_taken", "/scope"),
        ({"kind": "rectification"}, "changes_missing", "/changes"),
        ({"kind": "rectification", "changes": {}}, "changes_missing", "/changes"),
        (
            {"kind": "rectification", "changes": {"attributes": {"shoe_size": "43"}}},
            "undeclared_attribute",
            "/changes/attributes",
        ),
        (
            {"kind": "rectification", "changes": {"identifiers": {"openid": " x"}}},
            "invalid_identifier",
            "/changes/identifiers/openid",
        ),
        ({"kind": "forget me"}, "invalid", "/kind"),
        ({"kind": "access", "locale": "../zh"}, "invalid", "/locale"),
    ],
)
@pytest.mark.parametrize("openid", ["alice", "nobody"])
def test_what_cannot_be_done_is_refused_at_once(
    program: Program, owner: psycopg.Connection, openid: str, body: dict[str, Any], code: str, pointer: str
) -> None:
    program.decide("alice")
    answer = problem(ask(program, openid=openid, **body), 422, code)
    assert [fault["pointer"] for fault in answer["errors"]] == [pointer]
    assert owner.execute("SELECT count(*) FROM subject_request").fetchone() == (0,)


def test_requests_need_their_scope(program: Program) -> None:
    headers = {"Authorization": f"Bearer {program.key_with('consents')}"}
    problem(program.post("requests", {}, **headers), 403, "insufficient_scope")


# --- One open request of a kind; idempotency -----------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["access", "erasure"])
def test_a_second_open_request_of_a_kind_is_told_of_the_first(
    program: Program, owner: psycopg.Connection, kind: str
) -> None:
    program.decide("alice")
    first = file(program, kind)
    assert problem(ask(program, kind), 409, "request_open")["request_id"] == first["request_id"]
    assert owner.execute("SELECT count(*) FROM withdrawal_intent").fetchone() == (0,)
    file(program, kind, "bob")


def test_after_the_first_is_closed_another_may_be_filed(program: Program, as_worker: Working) -> None:
    program.decide("alice")
    assert carry_out(program, as_worker, file(program, "access"))["state"] == "completed"
    assert file(program, "access")["state"] == "approved"


def test_the_same_idempotency_key_gives_the_first_answer_again(
    program: Program, owner: psycopg.Connection, as_worker: Working
) -> None:
    program.decide("alice")
    body = {"subject": {"openid": "alice"}, "kind": "erasure", "locale": "en"}
    first = program.post("requests", body, Idempotency_Key="k1")
    again = program.post("requests", body, Idempotency_Key="k1")
    assert (first.status_code, again.status_code) == (202, 202)
    assert first.json() == again.json()
    assert owner.execute("SELECT count(*) FROM subject_request").fetchone() == (1,)
    assert owner.execute("SELECT count(*) FROM withdrawal_intent").fetchone() == (0,)
    problem(program.post("requests", body | {"locale": "zh-Hans"}, Idempotency_Key="k1"), 422, "idempotency_conflict")
    overdue(owner)
    assert carry_out(program, as_worker, first.json())["state"] == "completed"
    late = program.post("requests", body, Idempotency_Key="k1")
    assert (late.status_code, late.json()["request_id"]) == (202, first.json()["request_id"])
    assert owner.execute("SELECT count(*) FROM subject").fetchone() == (0,)
    assert owner.execute("SELECT count(*) FROM subject_request").fetchone() == (1,)


def test_two_clients_with_the_same_key_get_each_its_own_request(program: Program) -> None:
    body = {"subject": {"openid": "alice"}, "kind": "access", "locale": "en"}
    theirs = {"subject": {"openid": "bob"}, "kind": "erasure", "locale": "en"}
    first_key, second_key = program.key, program.key_with("requests")
    for place in range(4):
        key = f"r{place}"
        mine = program.post("requests", body | {"subject": {"openid": f"a{place}"}}, Idempotency_Key=key).json()
        program.key = second_key
        asked = theirs | {"subject": {"openid": f"b{place}"}}
        other = program.post("requests", asked, Idempotency_Key=key).json()
        assert program.post("requests", asked, Idempotency_Key=key).json() == other
        program.key = first_key
        assert mine["request_id"] != other["request_id"]
        again = program.post("requests", body | {"subject": {"openid": f"a{place}"}}, Idempotency_Key=key)
        assert again.json() == mine


def test_a_key_used_again_after_its_day_is_answered_by_the_newer_request(
    program: Program, owner: psycopg.Connection
) -> None:
    body = {"subject": {"openid": "alice"}, "kind": "access", "locale": "en"}
    older = []
    for openid in ("a", "b", "c"):
        asked = body | {"subject": {"openid": openid}}
        older.append(program.post("requests", asked, Idempotency_Key="k").json()["request_id"])
        assert program.post("requests", asked, Idempotency_Key="k").json()["request_id"] == older[-1]
        owner.execute("DELETE FROM idempotency_record")
    assert len(set(older)) == 3


# --- Following ------------------------------------------------------------------------------------------------------


def test_the_open_requests_are_listed_page_by_page(program: Program, other: Program, as_worker: Working) -> None:
    filed = [file(program, "erasure", f"subject-{place}") for place in range(5)]
    file(other, "erasure")
    done = file(program, "access", "subject-0")
    assert carry_out(program, as_worker, done)["state"] == "completed_no_data"
    seen, cursor, pages = [], "", 0
    while cursor is not None:
        page = program.get(f"requests?limit=2&cursor={cursor}" if cursor else "requests?limit=2").json()
        seen += [row["request_id"] for row in page["results"]]
        cursor, pages = page["next_cursor"], pages + 1
    assert seen == [row["request_id"] for row in filed]
    assert pages == 3
    far = base64.urlsafe_b64encode(f"0001-01-01T00:00:00+23:59 {UUID(int=1)}".encode()).decode()
    limits = ("0", "x", "501", "0000000500000000", "007", "9" * 5000, "%C2%B2", "-1")
    for query in (*(f"limit={limit}" for limit in limits), "cursor=x", "cursor=MjAyNiB4", f"cursor={far}"):
        assert program.get(f"requests?{query}").status_code == 422
    assert program.get("requests?limit=500").status_code == 200


@pytest.mark.parametrize("sha256", ["%00", "A" * 64, "a" * 63, "a" * 64, "a" * 64 + "%0A"])
def test_a_notice_nobody_published_is_not_found(program: Program, sha256: str) -> None:
    problem(program.get(f"notices/{sha256}"), 404, "not_found")


def test_another_mini_programs_request_does_not_exist(program: Program, other: Program) -> None:
    program.decide("alice")
    filed = file(program, "erasure")
    problem(other.get(f"requests/{filed['request_id']}"), 404, "not_found")
    problem(other.post(f"requests/{filed['request_id']}/withdraw", None), 404, "not_found")
    problem(program.get(f"requests/{UUID(int=1)}"), 404, "not_found")
    problem(program.get("requests/not-an-id"), 404, "not_found")
    assert shown(program, filed)["state"] == "approved"


# --- An erasure's gate, and taking it back --------------------------------------------------------------------------


def test_an_acknowledged_erasure_has_closed_the_gate(program: Program, owner: psycopg.Connection) -> None:
    lively(program)
    stored = owner.execute("SELECT count(*) FROM event").fetchone()
    file(program, "erasure")
    assert code_of(program) == "erasure_pending"
    assert owner.execute("SELECT count(*) FROM event").fetchone() == stored
    grant = {
        "subject": {"openid": "alice"}, "notice": program.notice, "locale": "en", "method": "dialog", "act": "single", "decisions": [{"purpose": "analytics", "decision": "given"}],
    }  # fmt: skip
    problem(program.post("consents", grant), 409, "erasure_pending")
    problem(ask(program, "access"), 409, "erasure_pending")
    changed = {"subject": {"openid": "alice"}, "attributes": {"city": "苏州"}}
    problem(program.call("PUT", "profile", changed), 422, "erasure_pending")
    (status,) = program.post("consents/status", {"subject": {"openid": "alice"}, "purposes": ["analytics"]}).json()
    assert (status["allowed"], status["may_prompt"]) == (False, False)


def test_an_acknowledged_erasure_comes_after_the_batch_in_flight(program: Program, owner: psycopg.Connection) -> None:
    """The batch has passed the gate and hangs before its write; the erasure waits for it, and what comes then aside."""
    program.decide("alice")
    with psycopg.connect(os.environ["DATABASE_OWNER_URL"]) as holding:
        holding.execute("LOCK TABLE page IN EXCLUSIVE MODE")
        with ThreadPoolExecutor(2) as threads:
            batch = threads.submit(_closing, lambda: program.send(event("alice", "e1", page="pages/new")))
            _wait_for_waiters(owner, 1)
            erasure = threads.submit(_closing, lambda: file(program, "erasure"))
            _wait_for_waiters(owner, 2)
            assert code_of(program) == "consent_changing"
            assert not erasure.done()
            holding.rollback()
            assert batch.result(10)["stored"] == 1
            assert erasure.result(10)["state"] == "approved"
    assert code_of(program) == "erasure_pending"
    assert owner.execute("SELECT event_id FROM event").fetchall() == [("e1",)]
    assert owner.execute("SELECT count(*) FROM withdrawal_intent").fetchone() == (0,)


def _closing(call: Callable[[], Any]) -> Any:
    """On a thread of its own, whose connection goes with it."""
    try:
        return call()
    finally:
        connection.close()


def _wait_for_waiters(owner: psycopg.Connection, count: int) -> None:
    for _ in range(200):
        row = owner.execute("SELECT count(DISTINCT pid) FROM pg_locks WHERE NOT granted").fetchone()
        if row is not None and row[0] >= count:
            return
        time.sleep(0.01)
    pytest.fail(f"fewer than {count} transactions wait for a lock")


def test_an_erasure_taken_back_reopens_from_its_own_time(program: Program, owner: psycopg.Connection) -> None:
    lively(program)
    assert code_of(program) == "stored"
    filed = file(program, "erasure")
    in_the_gap = now()
    taken = program.post(f"requests/{filed['request_id']}/withdraw", None)
    assert taken.status_code == 200
    assert taken.json()["state"] == "withdrawn"
    assert {holder["status"] for holder in taken.json()["holders"]} == {"cancelled"}
    assert program.post(f"requests/{filed['request_id']}/withdraw", None).json() == taken.json()
    barriers = owner.execute("SELECT DISTINCT barrier_at > %s FROM consent_state", [in_the_gap]).fetchall()
    assert barriers == [(True,)]
    assert code_of(program, at=in_the_gap) == "outside_consent"
    assert code_of(program) == "stored"
    program.decide("alice")
    assert code_of(program, at=in_the_gap) == "outside_consent"
    assert file(program, "erasure")["request_id"] != filed["request_id"]


def test_a_grant_dated_into_the_gap_authorises_nothing(program: Program) -> None:
    program.decide("alice", "refused")
    filed = file(program, "erasure")
    in_the_gap = now()
    program.post(f"requests/{filed['request_id']}/withdraw", None)
    program.decide("alice", occurred_at=in_the_gap.isoformat())
    assert code_of(program) == "consent_refused"
    program.decide("alice")
    assert code_of(program) == "stored"


def test_a_purpose_first_decided_on_in_the_gap_has_the_barrier_too(program: Program) -> None:
    program.decide("alice")
    filed = file(program, "erasure")
    in_the_gap = now()
    program.post(f"requests/{filed['request_id']}/withdraw", None)
    program.decide("alice", purpose="personalisation", occurred_at=in_the_gap.isoformat())
    city = {"subject": {"openid": "alice"}, "attributes": {"city": "杭州"}}
    problem(program.call("PUT", "profile", city), 422, "consent_missing")
    program.decide("alice", purpose="personalisation")
    assert program.call("PUT", "profile", city).status_code == 200


def test_a_decision_while_an_erasure_is_pending_opens_nothing(program: Program, owner: psycopg.Connection) -> None:
    program.decide("alice")
    file(program, "erasure")
    program.decide("alice", "refused", purpose="personalisation")
    assert owner.execute("SELECT erasure_pending FROM consent_state").fetchall() == [(True,)] * 2


def test_an_erasure_locks_the_purposes_in_their_order(program: Program, owner: psycopg.Connection) -> None:
    """As batches do: in the order in which the rows happen to lie, the two would deadlock."""
    last, first = _purposes_from_the_last(owner)
    program.decide("alice", "refused", purpose=last)
    program.decide("alice", "refused", purpose=first)
    lock = "SELECT FROM consent_state s JOIN purpose p ON p.id = s.purpose_id WHERE p.code = %s FOR UPDATE OF s NOWAIT"
    with psycopg.connect(os.environ["DATABASE_OWNER_URL"]) as holding, ThreadPoolExecutor(1) as threads:
        holding.execute(lock, [first])
        erasure = threads.submit(_closing, lambda: file(program, "erasure"))
        _wait_for_waiters(owner, 1)
        try:
            assert owner.execute(lock, [last]).rowcount == 1
        finally:
            holding.rollback()
        assert erasure.result(10)["state"] == "approved"


def _purposes_from_the_last(owner: psycopg.Connection) -> tuple[str, str]:
    codes = owner.execute(
        "SELECT code FROM purpose WHERE code IN ('analytics', 'personalisation') ORDER BY id DESC"
    ).fetchall()
    return codes[0][0], codes[1][0]


def test_what_has_begun_or_ended_is_not_taken_back(
    program: Program, owner: psycopg.Connection, as_worker: Working
) -> None:
    program.decide("alice")
    access = file(program, "access")
    carry_out(program, as_worker, access)
    problem(program.post(f"requests/{access['request_id']}/withdraw", None), 409, "not_undoable")
    erasure = file(program, "erasure")
    overdue(owner)
    problem(program.post(f"requests/{erasure['request_id']}/withdraw", None), 409, "not_undoable")


def test_an_access_not_yet_begun_is_taken_back_and_never_done(program: Program, as_worker: Working) -> None:
    program.decide("alice")
    filed = file(program, "access")
    assert program.post(f"requests/{filed['request_id']}/withdraw", None).json()["state"] == "withdrawn"
    assert carry_out(program, as_worker, filed)["state"] == "withdrawn"


def test_an_erasure_within_its_undo_window_is_not_begun(program: Program, as_worker: Working) -> None:
    lively(program)
    filed = file(program, "erasure")
    assert carry_out(program, as_worker, filed)["state"] == "approved"
    assert filed["undo_until"] > (now() + timedelta(hours=23)).astimezone(UTC).isoformat()


# --- Tenants ---------------------------------------------------------------------------------------------------------


def test_erasure_and_access_are_apart_for_two_mini_programs(
    program: Program, other: Program, owner: psycopg.Connection, as_worker: Working
) -> None:
    """The same openid elsewhere is another subject, and a worker under one tenant cannot do the other's request."""
    lively(program)
    lively(other)
    filed = file(program, "erasure")
    overdue(owner)
    with as_worker():
        work(other, filed)
    assert shown(program, filed)["state"] == "approved"
    assert carry_out(program, as_worker, filed)["state"] == "completed"
    assert code_of(other) == "stored"
    assert owner.execute("SELECT count(*) FROM profile_attribute").fetchone() == (2,)
