"""Webhooks: what is told of which act, signed how, and how long it is tried."""

import base64
import json
import logging
import re
import threading
import time
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any

import psycopg
import pytest
from django.db import connection, transaction

from config.logging import JsonFormatter
from consent import edge
from consent.errors import Conflict, Invalid
from consent.programs.tenancy import tenant
from consent.vault.models import Subject
from consent.vault.suites import DoesNotOpen
from consent.webhooks import actions, delivery, endpoints, sending, tasks
from consent.webhooks.models import Event, WebhookEndpoint
from tests import hints
from tests.cast import EXAMPLES, Program, now
from tests.consent.acts import act, guarded, minors_notice, wait_for_a_waiter
from tests.consent.desk import Desk
from tests.consent.receiver import Receiver, deliver, endpoint, later, messages, receiving, verified
from tests.consent.retaining import over, purge
from tests.consent.rights import Working, carry_out, file, lively, subject_of


@pytest.fixture
def receiver() -> Any:
    with receiving() as started:
        yield started


# --- What is told ------------------------------------------------------------------------------------------------------


def test_a_consent_is_told_signed_as_the_specification_says(
    program: Program, as_worker: Working, receiver: Receiver
) -> None:
    told = endpoint(program, f"{receiver.url}/hooks?tenant=1")
    answer = program.decide("alice")
    assert deliver(told, as_worker) == 1
    ((path, headers, body),) = receiver.requests
    assert path == "/hooks?tenant=1"
    assert headers["content-type"] == "application/json"
    assert verified(told.secret, headers, body)
    assert not verified(told.secret, headers, body + b" ")
    assert not verified(told.secret, {**headers, "webhook-id": "other"}, body)
    assert abs(int(headers["webhook-timestamp"]) - time.time()) < 60
    (payload,) = receiver.payloads()
    assert payload["type"] == "consent.changed"
    assert abs(datetime.fromisoformat(payload["timestamp"]) - now()) < timedelta(minutes=1)
    record = answer["records"][0]
    assert payload["data"] == {
        "subject_id": answer["subject_id"],
        "records": [{"record_id": record["record_id"], "purpose": "analytics"}],
    }
    assert deliver(told, as_worker) == 0
    assert len(receiver.requests) == 1


def test_the_documentations_ten_lines_verify_it(program: Program, as_worker: Working, receiver: Receiver) -> None:
    told = endpoint(program, receiver.url)
    program.decide("alice")
    deliver(told, as_worker)
    ((_, headers, body),) = receiver.requests
    text = (EXAMPLES.parent / "webhooks.md").read_text()
    (code,) = re.findall(r"```python\n(.*?)```", text, re.DOTALL)
    names: dict[str, Any] = {}
    exec(code, names)
    assert names["verified"](told.secret, headers, body)
    assert not names["verified"](told.secret, headers, body + b" ")
    assert not names["verified"](told.secret, {**headers, "webhook-timestamp": "1"}, body)


def test_there_is_a_message_exactly_where_the_act_was_committed(
    program: Program, owner: psycopg.Connection, receiver: Receiver
) -> None:
    endpoint(program, receiver.url, events=["consent.changed"])
    program.decide("alice")
    assert messages(owner, "event") == ["consent.changed"]
    alice = owner.execute("SELECT subject_id FROM subject").fetchone()
    assert alice is not None
    with pytest.raises(RuntimeError), tenant(program.id):
        actions.tell(Subject.objects.get(id=alice[0]), Event.RESTRICTED, {})
        actions.tell(Subject.objects.get(id=alice[0]), Event.CONSENT_CHANGED, {"records": []})
        raise RuntimeError
    assert messages(owner, "event") == ["consent.changed"]
    refused = act(program, ("analytics", "given"), notice="0" * 64)
    assert program.post("consents", refused).status_code == 422
    assert messages(owner, "event") == ["consent.changed"]


def test_an_act_sent_twice_is_told_once(program: Program, owner: psycopg.Connection, receiver: Receiver) -> None:
    endpoint(program, receiver.url)
    for _ in range(2):
        body = act(program, ("analytics", "given"))
        assert program.post("consents", body, Idempotency_Key="k").status_code == 201
    assert len(messages(owner, "id")) == 1


def test_whoever_wants_to_know_is_told_and_nobody_else(
    program: Program, other: Program, owner: psycopg.Connection, receiver: Receiver, as_worker: Working
) -> None:
    wants = [endpoint(program, receiver.url), endpoint(program, receiver.url, events=["consent.changed"])]
    endpoint(program, receiver.url, events=["request.updated"])
    off = endpoint(program, receiver.url)
    endpoints.switch(program_id=program.id, endpoint_id=off.id, on=False, by="test")
    theirs = endpoint(other, receiver.url)
    program.decide("alice")
    assert set(messages(owner, "endpoint_id")) == {told.id for told in wants}
    assert deliver(theirs, as_worker) == 0
    for told in wants:
        with as_worker():
            assert delivery.claim(edge.vault(), other.id, told.id, lease=delivery.LEASE) is None
        assert deliver(told, as_worker) == 1


def test_every_state_of_a_request_is_told(
    program: Program, owner: psycopg.Connection, as_worker: Working, receiver: Receiver
) -> None:
    told = endpoint(program, receiver.url, events=["request.updated"])
    pseudonym = lively(program)
    filed = file(program, "access")
    carry_out(program, as_worker, filed)
    deliver(told, as_worker)
    data = [payload["data"] for payload in receiver.payloads()]
    assert {(row["subject_id"], row["request_id"]) for row in data} == {(pseudonym, filed["request_id"])}
    assert {row["state"] for row in data} == {"approved", "in_progress", "completed"}


def test_a_request_about_nobody_is_told_to_nobody(
    program: Program, owner: psycopg.Connection, as_worker: Working, receiver: Receiver
) -> None:
    endpoint(program, receiver.url)
    carry_out(program, as_worker, file(program, "access", "nobody"))
    assert messages(owner, "id") == []


def test_a_rejection_is_told_which_does_not_deliver_it(
    reviewed: Program, desk: Desk, owner: psycopg.Connection, as_worker: Working, receiver: Receiver
) -> None:
    """An answer of 2xx says that the message came: the text is handed over by a call of its own (PIPL 50)."""
    told = endpoint(reviewed, receiver.url, events=["request.updated"])
    reviewed.decide("alice")
    filed = file(reviewed, "erasure")
    page = f"consent/subjectrequest/{filed['request_id']}/reject/"
    assert desk.post(page, reason="identity_not_verified", text="We could not verify you.").status_code == 302
    assert deliver(told, as_worker) == 2
    data = [payload["data"] for payload in receiver.payloads()]
    assert {row["state"] for row in data} == {"in_review", "rejected"}
    assert b"verify you" not in b"".join(body for _, _, body in receiver.requests)
    assert owner.execute("SELECT rejection_delivered_at FROM subject_request").fetchone() == (None,)


def test_an_officers_decisions_are_told(
    reviewed: Program, desk: Desk, owner: psycopg.Connection, receiver: Receiver
) -> None:
    endpoint(reviewed, receiver.url, events=["request.updated"])
    reviewed.decide("alice")
    filed = file(reviewed, "erasure")
    page = f"consent/subjectrequest/{filed['request_id']}"
    assert desk.post(f"{page}/extend/", working_days=5, reason="complex").status_code == 302
    assert desk.post(f"{page}/approve/").status_code == 302
    states = messages(owner, "data ->> 'state'")
    assert states == ["in_review", "in_review", "approved"]


def test_who_asks_for_another_is_told_when_verified(
    program: Program, desk: Desk, owner: psycopg.Connection, receiver: Receiver
) -> None:
    endpoint(program, receiver.url, events=["request.updated"])
    program.decide("alice")
    filed = file(program, "access", requester="agent")
    page = f"consent/subjectrequest/{filed['request_id']}/verify/"
    assert desk.post(page, method="authority", reference="file 17").status_code == 302
    assert messages(owner, "data ->> 'state'") == ["verifying", "approved"]


def test_a_rectification_is_told_when_it_is_done(
    program: Program, owner: psycopg.Connection, as_worker: Working, receiver: Receiver
) -> None:
    endpoint(program, receiver.url, events=["subject.rectified"])
    lively(program)
    filed = file(program, "rectification", changes={"attributes": {"city": "苏州"}})
    assert messages(owner, "id") == []
    carry_out(program, as_worker, filed)
    assert messages(owner, "event", "data") == [("subject.rectified", {"request_id": filed["request_id"]})]


def test_a_restriction_is_told_when_it_begins_and_when_it_ends(
    program: Program, owner: psycopg.Connection, as_worker: Working, receiver: Receiver
) -> None:
    endpoint(program, receiver.url, events=["subject.restricted"])
    lively(program)
    filed = file(program, "restriction")
    assert messages(owner, "data") == [{"restricted": True}], "from the 202 on"
    carry_out(program, as_worker, filed)
    assert len(messages(owner, "id")) == 1
    assert program.post(f"requests/{filed['request_id']}/withdraw", {}).status_code == 200
    assert messages(owner, "data") == [{"restricted": True}, {"restricted": False}]


def test_an_objection_and_a_fourteenth_birthday_tell_of_the_consents_they_end(
    program: Program, owner: psycopg.Connection, receiver: Receiver
) -> None:
    program.decide("alice")
    minor = minors_notice(program)
    program.decide("bob", **guarded(minor))
    endpoint(program, receiver.url, events=["consent.changed"])
    assert file(program, "objection", scope={"purposes": ["analytics"]})["state"] == "completed"
    assert len(messages(owner, "id")) == 1
    program.decide("bob", "refused", purpose="personalisation", age_band="adult", notice=program.notice)
    kept = messages(owner, "data")
    assert sorted(record["purpose"] for told in kept[1:] for record in told["records"]) == [
        "analytics",
        "personalisation",
    ]


def test_no_payload_and_no_log_line_names_anybody(
    program: Program,
    as_worker: Working,
    receiver: Receiver,
    owner: psycopg.Connection,
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.DEBUG)
    told = endpoint(program, f"{receiver.url}/secret-path")
    pseudonym = lively(program, "openid-canary")
    subject_id = subject_of(owner, pseudonym)
    for kind, more in (
        ("access", {}),
        ("rectification", {"changes": {"attributes": {"city": "city-canary"}}}),
        ("restriction", {}),
    ):
        carry_out(program, as_worker, file(program, kind, "openid-canary", **more))
    receiver.status = 500
    deliver(told, as_worker)
    receiver.status = 200
    later(owner)
    deliver(told, as_worker)
    bodies = b"".join(body for _, _, body in receiver.requests).decode()
    assert pseudonym in bodies
    for canary in ("openid-canary", "city-canary", "小艾", "杭州"):
        assert canary not in bodies
    for line in [JsonFormatter().format(record) for record in caplog.records]:
        assert "canary" not in line and pseudonym not in line and "secret-path" not in line
        assert f'"{subject_id}"' not in line
    said = {json.loads(JsonFormatter().format(record))["message"] for record in caplog.records}
    assert {"webhook delivered", "webhook not delivered"} & said


# --- Delivering --------------------------------------------------------------------------------------------------------


def attempt(told: Any, as_worker: Working, owner: psycopg.Connection) -> float:
    """One attempt now; answers in how many seconds the next is due."""
    later(owner)
    deliver(told, as_worker)
    row = owner.execute("SELECT extract(epoch FROM next_attempt_at - now()) FROM webhook_message").fetchone()
    assert row is not None
    return float(row[0])


def test_what_fails_is_tried_for_three_days_under_one_id(
    program: Program, owner: psycopg.Connection, as_worker: Working, receiver: Receiver
) -> None:
    told = endpoint(program, receiver.url)
    receiver.status = 503
    program.decide("alice")
    pauses = [5, 300, 1800, 7200, 18_000, 36_000, 50_400, 72_000, 86_400]
    assert 2.9 < sum(pauses) / 86_400 < 3.3
    for pause in pauses:
        waits = attempt(told, as_worker, owner)
        assert 0.9 * pause - 3 <= waits <= 1.1 * pause, pause
        assert deliver(told, as_worker) == 0, "not before its time"
    assert messages(owner, "attempts", "dead_at", "last_status") == [(9, None, "503")]
    attempt(told, as_worker, owner)
    ((attempts, dead),) = messages(owner, "attempts", "dead_at")
    assert (attempts, dead is not None) == (10, True)
    attempt(told, as_worker, owner)
    assert len(receiver.requests) == 10, "given up"
    assert len({headers["webhook-id"] for _, headers, _ in receiver.requests}) == 1
    assert len({body for _, _, body in receiver.requests}) == 1
    assert all(verified(told.secret, headers, body) for _, headers, body in receiver.requests)


def test_pauses_differ_so_that_not_all_come_back_at_once(
    program: Program, owner: psycopg.Connection, as_worker: Working, receiver: Receiver
) -> None:
    told = endpoint(program, receiver.url)
    receiver.status = 503
    for name in ("alice", "bob", "carol"):
        program.decide(name)
    owner.execute("UPDATE webhook_message SET attempts = 4")
    deliver(told, as_worker)
    assert len({round((at - now()).total_seconds() / 10) for at in messages(owner, "next_attempt_at")}) > 1


@pytest.mark.parametrize(
    ("asked", "wait"),
    [
        ("120", 120),
        ("1", 5),
        ("9999999", 86_400),
        ("x", 5),
        ("-5", 5),
        ("date", 600),
        ("Mon, 99", 5),
        ("Mon, 99999999999999999999 Jan 2024 00:00:00 GMT", 5),
    ],
)
def test_retry_after_is_heard_within_bounds(
    program: Program, owner: psycopg.Connection, as_worker: Working, receiver: Receiver, asked: str, wait: int
) -> None:
    told = endpoint(program, receiver.url)
    in_ten_minutes = (datetime.now(UTC) + timedelta(minutes=10)).strftime("%a, %d %b %Y %H:%M:%S GMT")
    receiver.status, receiver.headers = 429, {"retry-after": in_ten_minutes if asked == "date" else asked}
    program.decide("alice")
    assert wait * 0.9 - 3 <= attempt(told, as_worker, owner) <= wait * 1.1


def test_gone_switches_the_endpoint_off(
    program: Program, owner: psycopg.Connection, as_worker: Working, receiver: Receiver
) -> None:
    told = endpoint(program, receiver.url)
    receiver.status = 410
    for name in ("alice", "bob"):
        program.decide(name)
    deliver(told, as_worker)
    assert len(receiver.requests) == 1
    assert all(messages(owner, "dead_at IS NOT NULL"))
    assert owner.execute("SELECT active FROM webhook_endpoint").fetchone() == (False,)
    entry = owner.execute("SELECT actor, target FROM audit_entry WHERE action = 'webhook.gone'").fetchone()
    assert entry == ("worker", f"webhook:{told.id}")
    program.decide("carol")
    assert len(messages(owner, "id")) == 2
    with as_worker():
        assert delivery.due(limit=10) == []


def test_a_redirect_is_not_followed(
    program: Program, owner: psycopg.Connection, as_worker: Working, receiver: Receiver
) -> None:
    told = endpoint(program, receiver.url)
    with receiving() as elsewhere:
        for status in (301, 302, 307, 308):
            receiver.status, receiver.headers = status, {"location": elsewhere.url}
            owner.execute("DELETE FROM webhook_message")
            program.decide(f"alice{status}")
            assert deliver(told, as_worker) == 0
            assert messages(owner, "last_status", "delivered_at") == [(str(status), None)]
        assert elsewhere.requests == []


def test_nobody_there_leaves_the_endpoint_alone_for_a_moment(
    program: Program, owner: psycopg.Connection, as_worker: Working
) -> None:
    with receiving() as receiver:
        told = endpoint(program, receiver.url)
    for name in ("alice", "bob"):
        program.decide(name)
    deliver(told, as_worker)
    assert sorted(messages(owner, "last_status")) == ["", "no_connection"]
    with as_worker():
        assert delivery.due(limit=10) == []
    deliver(told, as_worker)
    assert sorted(messages(owner, "attempts")) == [0, 1]
    later(owner)
    with as_worker():
        assert delivery.due(limit=10) == [(program.id, told.id)]


def test_who_does_not_answer_in_time_is_left(
    program: Program, owner: psycopg.Connection, as_worker: Working, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sending, "WHOLE_S", 0.5)
    told = endpoint(program, receiver.url)
    receiver.wait.clear()
    program.decide("alice")
    began = time.monotonic()
    deliver(told, as_worker)
    assert time.monotonic() - began < 5
    assert messages(owner, "last_status") == ["timeout"]


def test_a_killed_workers_message_is_anothers_when_its_lease_is_over(
    program: Program, owner: psycopg.Connection, as_worker: Working, receiver: Receiver
) -> None:
    told = endpoint(program, receiver.url)
    program.decide("alice")
    with as_worker():
        dead = delivery.claim(edge.vault(), program.id, told.id, lease=timedelta(seconds=30))
        assert dead is not None
        assert delivery.claim(edge.vault(), program.id, told.id, lease=timedelta(seconds=30)) is None
        assert delivery.due(limit=10) == []
    owner.execute("UPDATE webhook_message SET lease_until = now()")
    with as_worker():
        assert delivery.due(limit=10) == [(program.id, told.id)]
    assert deliver(told, as_worker) == 1
    before = messages(owner, "attempts", "delivered_at", "last_status", "dead_at")
    with as_worker():
        delivery.record(dead, sending.Outcome("500"))
    assert messages(owner, "attempts", "delivered_at", "last_status", "dead_at") == before
    assert before[0][0] == 2


def test_workers_beside_each_other_send_each_message_once(
    program: Program, owner: psycopg.Connection, as_worker: Working, receiver: Receiver
) -> None:
    told = endpoint(program, receiver.url)
    for number in range(12):
        program.decide(f"person{number}")
    with as_worker():
        settings = dict(connection.settings_dict)

        def work() -> None:
            connection.settings_dict.update(settings)
            try:
                delivery.deliver(
                    vault=edge.vault(), program_id=program.id, endpoint_id=told.id, private=True, seconds=20
                )
            finally:
                connection.close()

        threads = [threading.Thread(target=work) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(30)
    ids = [headers["webhook-id"] for _, headers, _ in receiver.requests]
    assert len(ids) == len(set(ids)) == 12
    assert all(messages(owner, "delivered_at IS NOT NULL"))


def test_a_commit_hints_and_a_sweep_finds_what_no_hint_reached(
    program: Program, owner: psycopg.Connection, as_worker: Working, receiver: Receiver, monkeypatch: pytest.MonkeyPatch,
    settings: Any,
) -> None:  # fmt: skip
    settings.ZHIQING_WEBHOOK_PRIVATE = True
    hinted: list[tuple[int, Any]] = []

    def hint(*of: Any) -> bool:
        hinted.append(of)
        return True

    monkeypatch.setattr(tasks, "hint", hint)
    told = endpoint(program, receiver.url)
    with transaction.atomic():
        program.decide("alice")
        assert hinted == []
    assert hinted == [(program.id, told.id)]
    hinted.clear()
    with as_worker():
        list(hints.taken())
        tasks.sweep()
        assert hinted == [(program.id, told.id)]
        tasks.deliver(program.id, str(told.id))
        tasks.sweep()
    assert len(hinted) == len(receiver.requests) == 1


def test_while_a_secret_rotates_both_sign(
    program: Program, owner: psycopg.Connection, as_worker: Working, receiver: Receiver
) -> None:
    told = endpoint(program, receiver.url)
    new = endpoints.rotate(vault=edge.vault(), program_id=program.id, endpoint_id=told.id, by="test")
    assert new != told.secret
    program.decide("alice")
    deliver(told, as_worker)
    _, headers, body = receiver.requests[-1]
    assert len(headers["webhook-signature"].split(" ")) == 2
    assert verified(told.secret, headers, body) and verified(new, headers, body)
    owner.execute("UPDATE webhook_endpoint SET previous_until = previous_until - interval '24 hours'")
    program.decide("bob")
    deliver(told, as_worker)
    _, headers, body = receiver.requests[-1]
    assert verified(new, headers, body) and not verified(told.secret, headers, body)
    purge(program, as_worker)
    assert owner.execute("SELECT previous FROM webhook_endpoint").fetchone() == (None,)


def test_a_secret_is_not_rotated_while_the_one_before_signs(program: Program, receiver: Receiver) -> None:
    told = endpoint(program, receiver.url)
    rotate = partial(endpoints.rotate, vault=edge.vault(), program_id=program.id, endpoint_id=told.id, by="test")
    rotate()
    with pytest.raises(Conflict, match="secret_rotating"):
        rotate()


def test_a_secret_is_sealed_and_opens_nowhere_else(program: Program, other: Program, owner: psycopg.Connection) -> None:
    first, second = endpoint(program, "https://a.example/"), endpoint(program, "https://b.example/")
    (sealed,) = owner.execute("SELECT sealed FROM webhook_endpoint WHERE id = %s", [first.id]).fetchone()  # type: ignore[misc]
    assert base64.b64decode(first.secret.removeprefix("whsec_")) not in sealed
    owner.execute("UPDATE webhook_endpoint SET sealed = %s WHERE id = %s", [sealed, second.id])
    with tenant(program.id):
        moved = WebhookEndpoint.objects.get(id=second.id)
        with pytest.raises(DoesNotOpen):
            endpoints.secrets(edge.vault(), moved, now=now())


def test_what_is_given_to_a_processor_is_logged_once_a_message(
    program: Program, owner: psycopg.Connection, as_worker: Working, receiver: Receiver
) -> None:
    told = endpoint(program, receiver.url)
    receiver.status = 500
    program.decide("alice")
    for _ in range(3):
        attempt(told, as_worker, owner)
    rows = owner.execute("SELECT recipient, name, ground, fields, subjects, target FROM disclosure").fetchall()
    assert rows == [("processor", "127.0.0.1", "consent.changed", ["pseudonym"], 1, f"webhook:{told.id}")]


def test_what_never_had_its_turn_is_given_up_when_its_time_is_over(
    program: Program, owner: psycopg.Connection, as_worker: Working, receiver: Receiver
) -> None:
    endpoint(program, receiver.url)
    program.decide("alice")
    for age, given_up in (("95 hours", False), ("97 hours", True)):
        owner.execute(f"UPDATE webhook_message SET created_at = now() - interval '{age}'")
        purge(program, as_worker)
        assert messages(owner, "dead_at IS NOT NULL") == [given_up]
    assert messages(owner, "last_status") == ["never_tried"]


def test_what_is_sent_again_has_all_its_time_anew(
    program: Program, owner: psycopg.Connection, as_worker: Working, receiver: Receiver
) -> None:
    told = endpoint(program, receiver.url)
    receiver.status = 503
    for name in ("alice", "bob"):
        program.decide(name)
    owner.execute("UPDATE webhook_message SET created_at = now() - interval '5 days', dead_at = now()")
    first, _second = messages(owner, "id")
    endpoints.send_again(program_id=program.id, message_id=first, by="test")
    since = now() - timedelta(days=6)
    again = partial(endpoints.replay, program_id=program.id, endpoint_id=told.id, delivered=False, by="test")
    assert again(since=since) == 1
    for age, given_up in (("95 hours", False), ("97 hours", True)):
        owner.execute(f"UPDATE webhook_message SET queued_at = now() - interval '{age}'")
        purge(program, as_worker)
        assert messages(owner, "dead_at IS NOT NULL") == [given_up] * 2


def test_two_workers_at_the_same_moment_do_not_both_take_the_last_place(
    program: Program, owner: psycopg.Connection, as_worker: Working, receiver: Receiver
) -> None:
    told = endpoint(program, receiver.url)
    for number in range(4):
        program.decide(f"person{number}")
    second: list[Any] = []
    with as_worker():
        settings = dict(connection.settings_dict)

        def work() -> None:
            connection.settings_dict.update(settings)
            try:
                second.append(delivery.claim(edge.vault(), program.id, told.id, lease=delivery.LEASE))
            finally:
                connection.close()

        assert delivery.claim(edge.vault(), program.id, told.id, lease=delivery.LEASE) is not None
        beside = threading.Thread(target=work)
        with tenant(program.id):
            assert delivery.claim(edge.vault(), program.id, told.id, lease=delivery.LEASE) is not None
            beside.start()
            wait_for_a_waiter(owner)
        beside.join(20)
    assert second == [None]
    assert sorted(messages(owner, "attempts")) == [0, 0, 1, 1]


def test_a_slow_endpoint_keeps_two_workers_and_no_more(
    program: Program, as_worker: Working, receiver: Receiver
) -> None:
    told = endpoint(program, receiver.url)
    for number in range(4):
        program.decide(f"person{number}")
    with as_worker():
        held = [delivery.claim(edge.vault(), program.id, told.id, lease=delivery.LEASE) for _ in range(3)]
    assert [one is not None for one in held] == [True, True, False]
    assert held[0] is not None
    with as_worker():
        delivery.record(held[0], sending.Outcome("200"))
        assert delivery.claim(edge.vault(), program.id, told.id, lease=delivery.LEASE) is not None


def test_messages_go_some_days_after_their_end(
    program: Program, owner: psycopg.Connection, as_worker: Working, receiver: Receiver
) -> None:
    told = endpoint(program, receiver.url)
    for name in ("alice", "bob", "carol"):
        program.decide(name)
    deliver(told, as_worker)
    _first, second, third = messages(owner, "id")
    owner.execute("UPDATE webhook_message SET delivered_at = NULL, dead_at = now() WHERE id = %s", [second])
    owner.execute("UPDATE webhook_message SET delivered_at = NULL WHERE id = %s", [third])
    assert over(program, later=timedelta(days=6)) == []
    assert [(o.table, o.rows) for o in over(program, later=timedelta(days=8))] == [("webhook_message", 1)]
    purge(program, as_worker, later=timedelta(days=8))
    assert messages(owner, "id") == [second, third]
    purge(program, as_worker, later=timedelta(days=31))
    assert messages(owner, "id") == [third], "what waits is kept"


# --- Addresses ---------------------------------------------------------------------------------------------------------

PRIVATE = (
    "127.0.0.1", "10.0.0.1", "172.16.0.1", "192.168.1.1", "169.254.169.254", "100.64.0.1", "0.0.0.0", "224.0.0.1",
    "255.255.255.255", "::1", "::", "fe80::1", "fc00::1", "ff02::1", "::ffff:10.0.0.1", "2002:7f00:1::", "64:ff9b::a00:1",
    "2001:0:4136:e378:8000:63bf:3fff:fdd2", "64:ff9b:1::a00:1", "::ffff:0:7f00:1", "::7f00:1", "5f00::1", "fec0::1",
)  # fmt: skip


@pytest.mark.parametrize("address", PRIVATE)
def test_an_address_that_is_not_public_is_refused(address: str) -> None:
    with pytest.raises(sending.AddressRefused):
        sending.resolved(address, 443, private=False)
    assert sending.resolved(address, 443, private=True)


@pytest.mark.parametrize("address", ["8.8.8.8", "2606:4700:4700::1111", "::ffff:8.8.8.8", "64:ff9b::808:808"])
def test_a_public_address_is_not(address: str) -> None:
    assert sending.resolved(address, 443, private=False)


@pytest.mark.parametrize("url", ["https://a..b/", "https://xn--/", "https://[v1.x]/"])
def test_an_address_that_is_none_is_an_attempt_like_any(url: str) -> None:
    assert sending.post(url, b"", {}, private=False) == sending.Outcome("invalid_address")


def test_a_name_is_refused_where_any_of_its_addresses_is_private(monkeypatch: pytest.MonkeyPatch) -> None:
    def both(*_: Any, **__: Any) -> Any:
        return [(2, 1, 6, "", ("8.8.8.8", 443)), (2, 1, 6, "", ("10.0.0.1", 443))]

    monkeypatch.setattr(sending, "getaddrinfo", both)
    with pytest.raises(sending.AddressRefused):
        sending.resolved("rebound.example", 443, private=False)


def test_loopback_is_not_called_unless_a_setting_allows_it(
    program: Program, owner: psycopg.Connection, as_worker: Working, receiver: Receiver
) -> None:
    told = endpoint(program, receiver.url)
    program.decide("alice")
    deliver(told, as_worker, private=False)
    assert receiver.requests == []
    assert messages(owner, "last_status") == ["address_refused"]


def test_the_connection_goes_to_the_address_that_was_checked(
    receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A name that only our own look at it resolves, and once: a second one could be told something else."""
    port = int(receiver.url.rpartition(":")[2])
    asked: list[str] = []

    def once(host: str, *_: Any, **__: Any) -> Any:
        asked.append(host)
        return [(2, 1, 6, "", ("127.0.0.1", port))]

    monkeypatch.setattr(sending, "getaddrinfo", once)
    assert sending.post(f"http://rebound.invalid:{port}/x", b"{}", {}, private=True).status == "204"
    assert asked == ["rebound.invalid"]
    assert receiver.requests[0][1]["host"] == f"rebound.invalid:{port}"


@pytest.mark.parametrize(
    "url",
    [
        "http://backend.example/", "ftp://backend.example/", "https://", "https://user:pw@backend.example/", "//x", "",
        "https://backend.example/#part", "https://backend.example:99999/", "https://a b.example/", "https://exämple.com/",
        "https://backend.example/\n", "https://backend.example\\@10.0.0.1/", "https://backend.example/" + "x" * 2000,
        "javascript:alert(1)", "https://a..b/", "https://xn--/", "https://xn--a.example/", "https://[v1.x]/",
        "https://" + "a" * 64 + ".example/",
    ],
)  # fmt: skip
def test_other_addresses_are_not_taken(program: Program, url: str) -> None:
    with pytest.raises(Invalid, match="invalid_url"):
        endpoint(program, url)


def test_plain_http_is_taken_where_tls_is_off(program: Program) -> None:
    made, _ = endpoints.add(
        vault=edge.vault(), program_id=program.id, url="http://backend.example/", events=["consent.changed"],
        acknowledges=False, plain=True, by="test",
    )  # fmt: skip
    assert made.active
