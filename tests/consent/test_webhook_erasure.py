"""What an erasure tells, for whom it waits, and that nothing of the person stays in the messages either."""

import uuid
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import psycopg
import pytest

from consent import edge
from consent.programs.tenancy import tenant
from consent.rights import erasure, runs
from consent.webhooks import delivery, endpoints
from tests.cast import Program
from tests.consent.receiver import EVERY, Receiver, Told, deliver, endpoint, later, messages, receiving, verified
from tests.consent.retaining import over, purge
from tests.consent.rights import Working, carry_out, erased, file, lively, overdue, package_of, sections, shown
from tests.consent.test_erasure import far_ids as far_ids
from tests.consent.test_erasure import places, traces_of


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with receiving() as started:
        yield started


def again(program: Program, owner: psycopg.Connection, as_worker: Working, filed: Any) -> Any:
    """The worker comes back after a pause; answers the request's state and the run of the processors."""
    overdue(owner)
    answer = carry_out(program, as_worker, filed)
    (run,) = (holder for holder in answer["holders"] if holder["holder"] == "consent.processors")
    return answer["state"], run["status"]


def begun(program: Program, owner: psycopg.Connection, as_worker: Working) -> Any:
    filed = file(program, "erasure")
    assert again(program, owner, as_worker, filed) == ("in_progress", "pending")
    return filed


def test_an_erasure_waits_for_who_acknowledges_it_and_then_completes(
    program: Program, owner: psycopg.Connection, as_worker: Working, receiver: Receiver, far_ids: None
) -> None:
    pseudonym = lively(program)
    told = endpoint(program, receiver.url, acknowledges=True)
    receiver.status = 503
    traces = traces_of(owner, pseudonym, "alice")
    filed = begun(program, owner, as_worker)
    for _ in range(12):
        later(owner)
        deliver(told, as_worker)
        assert again(program, owner, as_worker, filed) == ("in_progress", "pending")
    assert len(receiver.requests) == 12, "longer than others are tried"
    assert shown(program, filed)["holders"][3]["error"] == "AnswersAwaited"
    assert owner.execute("SELECT count(*) FROM event").fetchone() == (0,), "our own goes meanwhile"
    assert owner.execute("SELECT count(*) FROM data_key").fetchone() == (1,)
    receiver.status = 200
    later(owner)
    assert deliver(told, as_worker) == 1
    assert again(program, owner, as_worker, filed) == ("completed", "done")
    _, headers, body = receiver.requests[-1]
    assert verified(told.secret, headers, body)
    payload = receiver.payloads()[-1]
    assert payload["type"] == "subject.erased"
    assert payload["data"] == {"subject_id": pseudonym, "request_id": filed["request_id"]}
    assert {body for _, _, body in receiver.requests} == {body}
    assert places(owner, traces) == []
    assert messages(owner, "id") == []


def test_who_does_not_acknowledge_is_told_once_and_holds_nothing_up(
    program: Program, owner: psycopg.Connection, as_worker: Working, receiver: Receiver
) -> None:
    lively(program)
    told = endpoint(program, receiver.url)
    receiver.status = 500
    filed = begun(program, owner, as_worker)
    deliver(told, as_worker)
    assert again(program, owner, as_worker, filed) == ("completed", "done")
    assert receiver.told() == ["subject.erased"]
    noted = owner.execute(
        "SELECT target, details, extract(epoch FROM at)::bigint % 86400 FROM audit_entry"
        " WHERE action = 'webhook.erasure_not_told'"
    ).fetchall()
    assert noted == [(f"webhook:{told.id}", {"status": "500"}, 0)]


def not_told(owner: psycopg.Connection) -> list[tuple[str, str]]:
    """(endpoint, why) of each note."""
    rows = owner.execute(
        "SELECT target, details ->> 'status' FROM audit_entry WHERE action = 'webhook.erasure_not_told' ORDER BY id"
    ).fetchall()
    return [(target.removeprefix("webhook:"), status) for target, status in rows]


def test_that_an_endpoint_was_never_told_is_noted_once_when_its_time_is_over(
    program: Program, owner: psycopg.Connection, as_worker: Working
) -> None:
    never = endpoint(program, "https://x.example/")
    endpoint(program, "https://y.example/", acknowledges=True)
    for name in ("alice", "bob"):
        lively(program, name)
        filed = file(program, "erasure", name)
        assert again(program, owner, as_worker, filed) == ("in_progress", "pending")
    owner.execute("UPDATE webhook_message SET created_at = created_at - interval '97 hours'")
    for _ in range(2):
        purge(program, as_worker)
        assert not_told(owner) == [(str(never.id), "never_tried")]


def test_that_an_endpoint_was_never_told_is_noted_when_it_is_switched_off_and_when_it_is_gone(
    program: Program, owner: psycopg.Connection, as_worker: Working, receiver: Receiver
) -> None:
    told = [endpoint(program, receiver.url, events=["subject.erased"], acknowledges=holds) for holds in (False, True)]
    receiver.status = 410
    filed = []
    for name in ("alice", "bob"):
        lively(program, name)
        filed.append(file(program, "erasure", name))
        assert again(program, owner, as_worker, filed[-1]) == ("in_progress", "pending")
    for one in told:
        deliver(one, as_worker)
    noted = [(str(told[0].id), "410"), (str(told[0].id), "switched_off")]
    assert not_told(owner) == noted
    assert endpoints.switch(program_id=program.id, endpoint_id=told[1].id, on=False, by="test")
    assert [again(program, owner, as_worker, one) for one in filed] == [("completed", "done")] * 2
    assert not_told(owner) == noted, "of who acknowledges somebody has seen to it"
    switched = endpoint(program, receiver.url)
    lively(program)
    begun(program, owner, as_worker)
    assert endpoints.switch(program_id=program.id, endpoint_id=switched.id, on=False, by="test")
    assert not_told(owner) == [*noted, (str(switched.id), "switched_off")]


def test_that_an_endpoint_was_never_told_is_noted_when_it_is_removed(
    program: Program, owner: psycopg.Connection, as_worker: Working
) -> None:
    told = endpoint(program, "https://x.example/")
    lively(program)
    filed = file(program, "erasure")
    assert again(program, owner, as_worker, filed) == ("in_progress", "pending")
    endpoints.remove(program_id=program.id, endpoint_id=told.id, by="test")
    assert not_told(owner) == [(str(told.id), "removed")]
    assert again(program, owner, as_worker, filed) == ("completed", "done")


def test_an_erasure_is_told_before_whatever_waits(
    program: Program, owner: psycopg.Connection, as_worker: Working, receiver: Receiver
) -> None:
    told = endpoint(program, receiver.url)
    for number in range(5):
        program.decide(f"person{number}")
    lively(program)
    begun(program, owner, as_worker)
    deliver(told, as_worker)
    assert receiver.told()[0] == "subject.erased"


def test_where_nobody_answers_no_erasure_waits_for_its_turn(
    program: Program, owner: psycopg.Connection, as_worker: Working
) -> None:
    with receiving() as gone:
        told = endpoint(program, gone.url)
    for name in ("alice", "bob", "carol"):
        program.decide(name)
    filed = [file(program, "erasure", name) for name in ("alice", "bob", "carol")]
    for one in filed:
        assert again(program, owner, as_worker, one) == ("in_progress", "pending")
    assert deliver(told, as_worker) == 0
    assert [again(program, owner, as_worker, one) for one in filed] == [("completed", "done")] * 3


def test_what_was_still_to_be_told_goes_unsent(
    program: Program, owner: psycopg.Connection, as_worker: Working, receiver: Receiver
) -> None:
    told = endpoint(program, receiver.url)
    lively(program)
    lively(program, "bob")
    carry_out(program, as_worker, file(program, "access"))
    before = len(messages(owner, "id"))
    filed = begun(program, owner, as_worker)
    kept = messages(owner, "event")
    assert kept.count("subject.erased") == 1
    assert len(kept) < before
    owner.execute("DELETE FROM webhook_message WHERE event <> 'subject.erased'")
    deliver(told, as_worker)
    assert again(program, owner, as_worker, filed) == ("completed", "done")
    assert receiver.told() == ["subject.erased"]


def test_an_act_after_the_telling_does_not_tell_of_the_erasure_again(
    program: Program, owner: psycopg.Connection, as_worker: Working, receiver: Receiver
) -> None:
    lively(program)
    told = endpoint(program, receiver.url, acknowledges=True)
    filed = begun(program, owner, as_worker)
    deliver(told, as_worker)
    owner.execute("UPDATE holder_run SET not_before = now() + interval '3 days' WHERE holder = 'consent.subject'")
    carry_out(program, as_worker, filed)
    overdue(owner)
    owner.execute("UPDATE holder_run SET not_before = now() + interval '1 hour' WHERE holder = 'consent.subject'")
    assert carry_out(program, as_worker, filed)["state"] == "in_progress"
    body = {"subject": {"openid": "alice"}, "decisions": [{"purpose": "analytics", "decision": "withdrawn"}]}
    assert program.post("consents", body).status_code == 201
    assert messages(owner, "event").count("consent.changed") == 1
    for _ in range(3):
        state, _run = again(program, owner, as_worker, filed)
    assert state == "completed"
    assert receiver.told().count("subject.erased") == 1


def test_an_endpoint_that_is_gone_still_has_to_acknowledge_until_somebody_switches_it_off(
    program: Program, owner: psycopg.Connection, as_worker: Working, receiver: Receiver
) -> None:
    lively(program)
    told = endpoint(program, receiver.url, acknowledges=True)
    receiver.status = 410
    filed = begun(program, owner, as_worker)
    deliver(told, as_worker)
    assert owner.execute("SELECT active FROM webhook_endpoint").fetchone() == (False,)
    assert again(program, owner, as_worker, filed) == ("in_progress", "pending")
    lively(program, "bob")
    second = file(program, "erasure", "bob")
    assert again(program, owner, as_worker, second) == ("in_progress", "pending")
    endpoints.switch(program_id=program.id, endpoint_id=told.id, on=True, by="test")
    receiver.status = 200
    assert deliver(told, as_worker) == 2, "at once, after whatever pause"
    assert again(program, owner, as_worker, second) == ("completed", "done")
    receiver.status = 410
    lively(program, "carol")
    third = file(program, "erasure", "carol")
    assert again(program, owner, as_worker, third) == ("in_progress", "pending")
    deliver(told, as_worker)
    assert endpoints.switch(program_id=program.id, endpoint_id=told.id, on=False, by="test")
    assert again(program, owner, as_worker, third) == ("completed", "done")


def test_one_that_is_switched_on_again_is_waited_for_as_before(
    program: Program, owner: psycopg.Connection, as_worker: Working, receiver: Receiver
) -> None:
    """Also by an erasure that went on without it while it was off, and is not done."""
    lively(program)
    lively(program, "bob")
    told = endpoint(program, receiver.url, events=["subject.erased"], acknowledges=True)
    held_up = endpoint(program, "https://x.example/", events=["subject.erased"], acknowledges=True)
    first = begun(program, owner, as_worker)
    for on in (False, True):
        assert endpoints.switch(program_id=program.id, endpoint_id=told.id, on=on, by="test")
    assert endpoints.switch(program_id=program.id, endpoint_id=held_up.id, on=False, by="test")
    assert again(program, owner, as_worker, first) == ("in_progress", "pending")
    assert deliver(told, as_worker) == 1
    assert again(program, owner, as_worker, first) == ("completed", "done")
    second = file(program, "erasure", "bob")
    assert again(program, owner, as_worker, second) == ("in_progress", "pending")
    deliver(told, as_worker)
    assert again(program, owner, as_worker, second) == ("completed", "done")
    assert receiver.told() == ["subject.erased"] * 2


def later_stages_wait(owner: psycopg.Connection) -> None:
    owner.execute("UPDATE holder_run SET not_before = now() + interval '1 hour' WHERE holder = 'consent.subject'")


def test_one_that_is_switched_on_again_is_told_of_an_erasure_that_went_on_without_it(
    program: Program, owner: psycopg.Connection, as_worker: Working, receiver: Receiver
) -> None:
    """It was never told, and what waited for it is done."""
    lively(program)
    told = endpoint(program, receiver.url, events=["subject.erased"], acknowledges=True)
    assert endpoints.switch(program_id=program.id, endpoint_id=told.id, on=False, by="test")
    filed = file(program, "erasure")
    overdue(owner)
    later_stages_wait(owner)
    carry_out(program, as_worker, filed)
    status = "SELECT status FROM holder_run WHERE holder = 'consent.processors'"
    assert owner.execute(status).fetchone() == ("done",)
    assert messages(owner, "id") == []
    assert endpoints.switch(program_id=program.id, endpoint_id=told.id, on=True, by="test")
    assert again(program, owner, as_worker, filed) == ("in_progress", "pending"), "it waits"
    assert deliver(told, as_worker) == 1
    assert again(program, owner, as_worker, filed) == ("completed", "done")
    assert receiver.told() == ["subject.erased"]


def test_it_is_waited_for_also_where_the_last_part_was_begun(
    program: Program, owner: psycopg.Connection, as_worker: Working, receiver: Receiver
) -> None:
    lively(program)
    told = endpoint(program, receiver.url, events=["subject.erased"], acknowledges=True)
    assert endpoints.switch(program_id=program.id, endpoint_id=told.id, on=False, by="test")
    filed = file(program, "erasure")
    overdue(owner)
    later_stages_wait(owner)
    carry_out(program, as_worker, filed)
    overdue(owner)
    with as_worker():
        last = runs.claim(program.id, uuid.UUID(filed["request_id"]), lease=runs.LEASE)
    assert last is not None and last.holder == "consent.subject"
    assert endpoints.switch(program_id=program.id, endpoint_id=told.id, on=True, by="test")
    with as_worker():
        assert not erasure.complete(last)
    assert again(program, owner, as_worker, filed) == ("in_progress", "pending")
    deliver(told, as_worker)
    assert again(program, owner, as_worker, filed) == ("completed", "done")


def test_an_erasure_that_may_be_taken_back_is_not_told_by_switching_on(
    program: Program, owner: psycopg.Connection, receiver: Receiver
) -> None:
    lively(program)
    told = endpoint(program, receiver.url, events=["subject.erased"], acknowledges=True)
    file(program, "erasure")
    for on in (False, True):
        assert endpoints.switch(program_id=program.id, endpoint_id=told.id, on=on, by="test")
    assert messages(owner, "id") == []


def test_removing_an_endpoint_lets_an_erasure_go_on(
    program: Program, owner: psycopg.Connection, as_worker: Working, receiver: Receiver
) -> None:
    lively(program)
    told = endpoint(program, receiver.url, acknowledges=True)
    filed = begun(program, owner, as_worker)
    assert endpoints.remove(program_id=program.id, endpoint_id=told.id, by="test") == 1
    assert again(program, owner, as_worker, filed) == ("completed", "done")


def test_another_erasure_is_told_of_anew(
    program: Program, owner: psycopg.Connection, as_worker: Working, receiver: Receiver
) -> None:
    """One that failed was taken back; what was told of it acknowledges nothing of the next."""
    lively(program)
    told = endpoint(program, receiver.url, events=["subject.erased"], acknowledges=True)
    filed = begun(program, owner, as_worker)
    deliver(told, as_worker)
    owner.execute("UPDATE subject_request SET state = 'failed', closed_at = now()")
    owner.execute("UPDATE request_subject SET open = false")
    assert program.post(f"requests/{filed['request_id']}/withdraw", {}).status_code == 200
    second = file(program, "erasure")
    assert again(program, owner, as_worker, second) == ("in_progress", "pending")
    assert deliver(told, as_worker) == 1
    assert again(program, owner, as_worker, second) == ("completed", "done")
    assert [payload["data"]["request_id"] for payload in receiver.payloads()] == [
        filed["request_id"],
        second["request_id"],
    ]


def test_who_has_erased_is_not_told_again_while_the_erasure_waits_for_another(
    program: Program, owner: psycopg.Connection, as_worker: Working, receiver: Receiver
) -> None:
    """Its message is all that says so, and stays although it was delivered more than a week ago."""
    lively(program)
    told = endpoint(program, receiver.url, events=["subject.erased", "consent.changed"], acknowledges=True)
    held_up = endpoint(program, "https://x.example/", events=["subject.erased"], acknowledges=True)
    filed = begun(program, owner, as_worker)
    deliver(told, as_worker)
    program.decide("bob")
    deliver(told, as_worker)
    assert [(o.table, o.rows) for o in over(program, later=timedelta(days=8))] == [("webhook_message", 1)]
    purge(program, as_worker, later=timedelta(days=8))
    assert messages(owner, "event") == ["subject.erased"] * 2
    receiver.status = 404
    assert again(program, owner, as_worker, filed) == ("in_progress", "pending")
    deliver(told, as_worker)
    assert receiver.told() == ["subject.erased", "consent.changed"]
    assert endpoints.switch(program_id=program.id, endpoint_id=held_up.id, on=False, by="test")
    assert again(program, owner, as_worker, filed) == ("completed", "done")


def test_what_told_of_an_erasure_that_ended_goes_with_its_time(
    program: Program, owner: psycopg.Connection, as_worker: Working, receiver: Receiver
) -> None:
    lively(program)
    told = endpoint(program, receiver.url, events=["subject.erased"], acknowledges=True)
    begun(program, owner, as_worker)
    deliver(told, as_worker)
    owner.execute("UPDATE request_subject SET open = false")
    purge(program, as_worker, later=timedelta(days=8))
    assert messages(owner, "id") == []


def test_a_worker_that_dies_after_the_answer_asks_again_under_the_same_id(
    program: Program, owner: psycopg.Connection, as_worker: Working, receiver: Receiver
) -> None:
    lively(program)
    told = endpoint(program, receiver.url, acknowledges=True)
    filed = begun(program, owner, as_worker)
    with as_worker():
        claimed = delivery.claim(edge.vault(), program.id, told.id, lease=delivery.LEASE)
        assert claimed is not None
        assert delivery.send(claimed, private=True).taken
    assert again(program, owner, as_worker, filed) == ("in_progress", "pending")
    owner.execute("UPDATE webhook_message SET lease_until = now()")
    deliver(told, as_worker)
    assert again(program, owner, as_worker, filed) == ("completed", "done")
    assert len({headers["webhook-id"] for _, headers, _ in receiver.requests}) == 1


def test_an_access_package_tells_who_was_told(
    program: Program, owner: psycopg.Connection, as_worker: Working, receiver: Receiver
) -> None:
    told = endpoint(program, receiver.url, events=["consent.changed"])
    program.decide("alice")
    deliver(told, as_worker)
    filed = file(program, "access")
    carry_out(program, as_worker, filed)
    (row,) = sections(package_of(program, filed))["messages"]
    assert (row["event"], row["told_to"]) == ("consent.changed", "127.0.0.1")
    assert row["delivered_at"]


def test_without_endpoints_an_erasure_is_as_it_was(
    program: Program, owner: psycopg.Connection, as_worker: Working
) -> None:
    lively(program)
    answer = erased(program, owner, as_worker)
    assert answer["state"] == "completed"
    assert "consent.processors" not in [holder["holder"] for holder in answer["holders"]]


def test_nothing_stays_of_an_endpoint_that_was_set_up_after_the_filing(
    program: Program, owner: psycopg.Connection, as_worker: Working, receiver: Receiver
) -> None:
    lively(program)
    filed = file(program, "erasure")
    told = endpoint(program, receiver.url)
    overdue(owner)
    assert carry_out(program, as_worker, filed)["state"] == "in_progress", "it was told that erasing began"
    assert again(program, owner, as_worker, filed) == ("in_progress", "pending")
    deliver(told, as_worker)
    assert again(program, owner, as_worker, filed) == ("completed", "done")
    assert receiver.told() == ["subject.erased"]
    assert messages(owner, "id") == []


def test_another_programs_endpoint_holds_nothing_up(
    program: Program, other: Program, owner: psycopg.Connection, as_worker: Working, receiver: Receiver
) -> None:
    lively(program)
    theirs: Told = endpoint(other, receiver.url, events=EVERY, acknowledges=True)
    assert erased(program, owner, as_worker)["state"] == "completed"
    with tenant(other.id):
        assert endpoints.switch(program_id=other.id, endpoint_id=theirs.id, on=False, by="test")
    assert receiver.requests == []


def test_what_ends_with_the_person_is_told_and_leaves_no_message(
    program: Program, owner: psycopg.Connection, as_worker: Working, receiver: Receiver
) -> None:
    """A request that was open is closed by the last step: whoever is told of it has a message again, which goes too."""
    lively(program)
    told = endpoint(program, receiver.url)
    access = file(program, "access")
    filed = begun(program, owner, as_worker)
    assert shown(program, access)["state"] == "approved", "it is not known yet whether anything is left"
    deliver(told, as_worker)
    assert again(program, owner, as_worker, filed) == ("in_progress", "pending")
    assert shown(program, access)["state"] == "completed_no_data"
    deliver(told, as_worker)
    assert again(program, owner, as_worker, filed) == ("completed", "done")
    data = {"request_id": access["request_id"], "state": "completed_no_data"}
    assert [payload["data"].items() >= data.items() for payload in receiver.payloads()].count(True) == 1
    assert messages(owner, "id") == []
