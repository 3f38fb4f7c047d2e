"""Webhooks as operators and officers set them up: the command, and the pages of the admin."""

import io
import json
import os
import re
import threading
from collections.abc import Iterator
from datetime import timedelta
from typing import Any
from uuid import uuid4

import psycopg
import pytest
from django.contrib.sessions.models import Session
from django.core.management import CommandError, call_command
from django.db import connection

from tests.cast import Program, now
from tests.consent.acts import act, post_and_close, wait_for_a_waiter
from tests.consent.desk import Desk, officer
from tests.consent.receiver import Receiver, Told, deliver, endpoint, later, messages, receiving, verified
from tests.consent.rights import Working, carry_out, file, lively, overdue

MAY = ("add_webhookendpoint", "change_webhookendpoint", "change_webhookmessage")
SEEN = ("webhookendpoint", "webhookmessage")


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with receiving() as started:
        yield started


def as_json(*arguments: Any) -> dict[str, Any]:
    out = io.StringIO()
    call_command("webhook", *map(str, arguments), "--json", stdout=out, stderr=io.StringIO())
    answer: dict[str, Any] = json.loads(out.getvalue())
    return answer


def added(program: Program, url: str, *more: str) -> Told:
    made = as_json("add", "--program", program.id, "--url", url, "--events", "consent.changed,subject.erased", *more)
    return Told(program, made["endpoint"], made["secret"])


# --- The command -------------------------------------------------------------------------------------------------------


def test_help_names_the_events(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        call_command("webhook", "--help")
    told = capsys.readouterr().out
    for word in ("consent.changed", "subject.erased", "--dry-run", "--json", "--acknowledges"):
        assert word in told


def test_an_endpoint_is_added_listed_rotated_and_removed(
    program: Program, other: Program, owner: psycopg.Connection, as_worker: Working, receiver: Receiver
) -> None:
    told = added(program, receiver.url, "--acknowledges")
    (row,) = as_json("list", "--program", program.id)["endpoints"]
    assert (row["endpoint"], row["active"], row["acknowledges"]) == (told.id, True, True)
    assert row["events"] == ["consent.changed", "subject.erased"]
    assert "secret" not in str(row)
    assert as_json("list", "--program", other.id) == {"endpoints": []}
    program.decide("alice")
    deliver(told, as_worker)
    assert verified(told.secret, *receiver.requests[0][1:])
    one = ("--program", program.id, "--endpoint", told.id)
    assert as_json("rotate", *one)["secret"] != told.secret
    assert as_json("off", *one)["changed"] is True
    assert as_json("off", *one)["changed"] is False
    (row,) = as_json("list", "--program", program.id)["endpoints"]
    assert (row["active"], row["acknowledges"], row["released"]) == (False, True, True)
    assert as_json("on", *one)["changed"] is True
    (row,) = as_json("list", "--program", program.id)["endpoints"]
    assert (row["active"], row["acknowledges"], row["released"]) == (True, True, False)
    would = {"endpoint": told.id, "messages": 1, "removed": False, "erasures_waited": 0}
    assert as_json("remove", *one, "--dry-run") == would
    assert len(messages(owner, "id")) == 1
    assert as_json("remove", *one) == {**would, "removed": True}
    assert messages(owner, "id") == []
    entries = owner.execute("SELECT action FROM audit_entry WHERE action LIKE 'webhook.%' ORDER BY id").fetchall()
    assert [row[0] for row in entries] == [
        f"webhook.{what}" for what in ("added", "rotated", "switched_off", "switched_on", "removed")
    ]
    assert receiver.url not in str(owner.execute("SELECT details::text FROM audit_entry").fetchall())


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (("add", "--url", "https://x.example/"), "give --events"),
        (("add", "--url", "http://x.example/", "--events", "consent.changed"), "invalid_url"),
        (("add", "--url", "https://x.example/", "--events", "consent.changed,x"), "unknown_event"),
        (("add", "--url", "https://x.example/", "--events", "consent.changed", "--acknowledges"), "erasure_not_told"),
        (("rotate",), "give --endpoint"),
        (("rotate", "--endpoint", str(uuid4())), "not_found"),
        (("remove", "--endpoint", str(uuid4())), "not_found"),
        (("remove", "--endpoint", str(uuid4()), "--dry-run"), "no webhook endpoint"),
        (("rotate", "--endpoint", str(uuid4()), "--dry-run"), "--dry-run goes with remove"),
    ],
)
def test_what_is_wrong_is_told(program: Program, settings: Any, arguments: tuple[str, ...], told: str) -> None:
    settings.TLS = True
    with pytest.raises(CommandError, match=told):
        call_command("webhook", *arguments, "--program", str(program.id), stdout=io.StringIO(), stderr=io.StringIO())


def test_another_programs_endpoint_is_out_of_reach(program: Program, other: Program, owner: psycopg.Connection) -> None:
    told = added(program, "https://x.example/")
    for action in ("rotate", "on", "off", "remove"):
        with pytest.raises(CommandError, match="not_found"):
            as_json(action, "--program", other.id, "--endpoint", told.id)
    assert owner.execute("SELECT count(*) FROM webhook_endpoint").fetchone() == (1,)


def test_a_replay_sends_again_what_was_given_up_and_all_when_asked(
    program: Program, owner: psycopg.Connection, as_worker: Working, receiver: Receiver
) -> None:
    told = added(program, receiver.url)
    for name in ("alice", "bob"):
        program.decide(name)
    deliver(told, as_worker)
    first = {headers["webhook-id"] for _, headers, _ in receiver.requests}
    owner.execute(
        "UPDATE webhook_message SET delivered_at = NULL, dead_at = now() WHERE id = (SELECT min(id::text)::uuid"
        " FROM webhook_message)"
    )
    replay = ("replay", "--program", program.id, "--endpoint", told.id, "--since")
    assert as_json(*replay, (now() + timedelta(hours=1)).isoformat())["messages"] == 0
    since = (now() - timedelta(hours=1)).isoformat()
    assert as_json(*replay, since)["messages"] == 1
    assert deliver(told, as_worker) == 1
    assert as_json(*replay, since, "--delivered")["messages"] == 2
    assert deliver(told, as_worker) == 2
    assert {headers["webhook-id"] for _, headers, _ in receiver.requests} == first
    as_json("off", "--program", program.id, "--endpoint", told.id)
    with pytest.raises(CommandError, match="switched_off"):
        as_json(*replay, since)


def begun(program: Program, owner: psycopg.Connection, as_worker: Working) -> None:
    """An erasure that waits for whoever acknowledges it."""
    lively(program)
    filed = file(program, "erasure")
    overdue(owner)
    assert carry_out(program, as_worker, filed)["state"] == "in_progress"


def test_what_ends_the_wait_of_erasures_says_of_how_many(
    program: Program, owner: psycopg.Connection, as_worker: Working
) -> None:
    holds, other = added(program, "https://x.example/", "--acknowledges"), added(program, "https://y.example/")
    begun(program, owner, as_worker)
    one, beside = (("--program", program.id, "--endpoint", told.id) for told in (holds, other))
    assert as_json("off", *beside)["erasures_waited"] == 0, "it does not acknowledge"
    assert as_json("remove", *one, "--dry-run")["erasures_waited"] == 1
    assert as_json("off", *one)["erasures_waited"] == 1
    assert as_json("remove", *one, "--dry-run")["erasures_waited"] == 0, "none waits any more"
    as_json("on", *one)
    for more, said in ((["--dry-run"], "1 erasures wait for it and would"), ([], "1 erasures waited for it and go on")):
        told = io.StringIO()
        call_command("webhook", "remove", *map(str, one), *more, stdout=io.StringIO(), stderr=told)
        assert said in told.getvalue()


def test_an_act_beside_a_removal_is_done_and_told_to_nobody(
    program: Program, owner: psycopg.Connection, receiver: Receiver
) -> None:
    """It has seen the endpoint, waits for who removes it, and goes on without."""
    added(program, receiver.url)
    answered: list[Any] = []
    acting = threading.Thread(
        target=lambda: answered.append(post_and_close(program, act(program, ("analytics", "given"))))
    )
    with psycopg.connect(os.environ["DATABASE_OWNER_URL"]) as removing:
        removing.execute("DELETE FROM webhook_endpoint")
        acting.start()
        wait_for_a_waiter(owner)
    acting.join(20)
    assert answered[0].status_code == 201, answered[0].content
    assert messages(owner, "id") == []


# --- The admin ---------------------------------------------------------------------------------------------------------


@pytest.fixture
def desk(program: Program) -> Desk:
    return officer("grace", program, may_see=SEEN, may=MAY).enter(program)


def secret_of(page: str) -> str:
    (found,) = re.findall(r"whsec_[A-Za-z0-9+/=]+", page)
    return str(found)


def test_an_officer_adds_an_endpoint_and_sees_its_secret_once(
    program: Program, owner: psycopg.Connection, desk: Desk, receiver: Receiver, as_worker: Working
) -> None:
    response = desk.post("consent/webhookendpoint/add/", url=receiver.url, events=["consent.changed"])
    assert response.status_code == 200 and "no-store" in response["Cache-Control"]
    secret = secret_of(response.content.decode())
    ((endpoint_id,),) = owner.execute("SELECT id FROM webhook_endpoint").fetchall()
    for path in ("", f"{endpoint_id}/change/"):
        page = desk.get(f"consent/webhookendpoint/{path}").content.decode()
        assert receiver.url in page and "whsec_" not in page
    assert not any("whsec_" in str(session.get_decoded()) for session in Session.objects.all())
    assert "whsec_" not in str(desk.client.cookies)
    program.decide("alice")
    deliver(Told(program, endpoint_id, secret), as_worker)
    assert verified(secret, *receiver.requests[0][1:])
    assert "Make a new secret" in page
    rotated = desk.post(f"consent/webhookendpoint/{endpoint_id}/rotate/")
    assert secret_of(rotated.content.decode()) != secret
    entry = owner.execute("SELECT actor FROM audit_entry WHERE action = 'webhook.rotated'").fetchone()
    assert entry == (f"officer:{desk.user.pk}",)


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ({"url": "https://u:p@x.example/", "events": ["consent.changed"]}, "without a user, a password"),
        ({"url": "https://x.example/", "events": ["consent.changed"], "acknowledges": "on"}, "choose that event too"),
    ],
)
def test_a_fault_is_told_on_the_page(
    program: Program, owner: psycopg.Connection, desk: Desk, given: dict[str, Any], told: str
) -> None:
    response = desk.post("consent/webhookendpoint/add/", **given)
    assert response.status_code == 200
    assert told in response.content.decode()
    assert owner.execute("SELECT count(*) FROM webhook_endpoint").fetchone() == (0,)


def test_an_endpoint_is_switched_off_and_on(program: Program, owner: psycopg.Connection, desk: Desk) -> None:
    told = endpoint(program, "https://x.example/", acknowledges=True)
    page = f"consent/webhookendpoint/{told.id}"
    assert desk.get(f"{page}/on/").status_code == 404
    assert desk.get(f"{page}/off/").status_code == 200
    assert desk.post(f"{page}/off/").status_code == 302
    kept = "SELECT active, acknowledges, released FROM webhook_endpoint"
    assert owner.execute(kept).fetchone() == (False, True, True)
    assert desk.get(f"{page}/off/").status_code == 404
    assert desk.post(f"{page}/on/").status_code == 302
    assert owner.execute(kept).fetchone() == (True, True, False)


def test_before_an_endpoint_is_switched_off_the_page_says_how_many_erasures_wait_for_it(
    program: Program, owner: psycopg.Connection, desk: Desk, as_worker: Working
) -> None:
    holds = endpoint(program, "https://x.example/", acknowledges=True)
    other = endpoint(program, "https://y.example/")
    begun(program, owner, as_worker)
    page = desk.get(f"consent/webhookendpoint/{holds.id}/off/").content.decode()
    assert "1 erasure waits for this endpoint. Switched off, none waits any more" in page
    for path in (f"{holds.id}/rotate/", f"{other.id}/off/"):
        assert "waits for this endpoint" not in desk.get(f"consent/webhookendpoint/{path}").content.decode()


def test_a_new_secret_is_offered_when_the_one_before_signs_no_more(
    program: Program, owner: psycopg.Connection, desk: Desk
) -> None:
    told = endpoint(program, "https://x.example/")
    page = f"consent/webhookendpoint/{told.id}"
    assert desk.post(f"{page}/rotate/").status_code == 200
    assert "Make a new secret" not in desk.get(f"{page}/change/").content.decode()
    assert desk.get(f"{page}/rotate/").status_code == 404
    owner.execute("UPDATE webhook_endpoint SET previous_until = now()")
    assert "Make a new secret" in desk.get(f"{page}/change/").content.decode()
    assert desk.post(f"{page}/rotate/").status_code == 200


def test_who_asks_for_a_new_secret_twice_at_once_is_told_why_there_is_one(
    program: Program, owner: psycopg.Connection, desk: Desk
) -> None:
    told = endpoint(program, "https://x.example/")
    page = f"consent/webhookendpoint/{told.id}"
    answered: list[Any] = []

    def ask() -> None:
        try:
            answered.append(desk.post(f"{page}/rotate/"))
        finally:
            connection.close()

    asking = threading.Thread(target=ask)
    with psycopg.connect(os.environ["DATABASE_OWNER_URL"]) as first:
        first.execute("UPDATE webhook_endpoint SET previous = sealed, previous_until = now() + interval '1 day'")
        asking.start()
        wait_for_a_waiter(owner)
    asking.join(20)
    assert answered[0].status_code == 302, answered[0].content
    shown = desk.get(f"{page}/change/").content.decode()
    assert "The secret before the newest one still signs" in shown and "ecret before valid until" in shown


def test_messages_are_filtered_by_what_became_of_them_and_sent_again(
    program: Program, owner: psycopg.Connection, desk: Desk, as_worker: Working, receiver: Receiver
) -> None:
    told = endpoint(program, receiver.url)
    pseudonyms = [program.decide(name)["subject_id"] for name in ("alice", "bob", "carol")]
    delivered, dead, waiting = messages(owner, "id")
    owner.execute("UPDATE webhook_message SET delivered_at = now() WHERE id = %s", [delivered])
    owner.execute("UPDATE webhook_message SET dead_at = now(), last_status = '500' WHERE id = %s", [dead])
    for query, seen in (("delivered", delivered), ("dead", dead), ("waiting", waiting)):
        page = desk.get(f"consent/webhookmessage/?standing={query}").content.decode()
        assert [message for message in (delivered, dead, waiting) if str(message) in page] == [seen]
    for message in (delivered, waiting):
        assert desk.post(f"consent/webhookmessage/{message}/again/").status_code == 404
    page = desk.get(f"consent/webhookmessage/{dead}/change/").content.decode()
    assert "Send it again" in page and "500" in page
    assert not any(pseudonym in page for pseudonym in pseudonyms)
    assert desk.post(f"consent/webhookmessage/{dead}/again/").status_code == 302
    entry = owner.execute("SELECT actor, target FROM audit_entry WHERE action = 'webhook.replayed'").fetchone()
    assert entry == (f"officer:{desk.user.pk}", f"webhook:{told.id}")
    later(owner)
    deliver(told, as_worker)
    assert str(dead) in {headers["webhook-id"] for _, headers, _ in receiver.requests}


def test_officers_without_the_permissions_look_only(program: Program, owner: psycopg.Connection) -> None:
    told = endpoint(program, "https://x.example/")
    program.decide("alice")
    owner.execute("UPDATE webhook_message SET dead_at = now()")
    (message,) = messages(owner, "id")
    blind = officer("heidi", program, may_see=("logentry",)).enter(program)
    for path in ("webhookendpoint", "webhookmessage"):
        assert blind.get(f"consent/{path}/").status_code == 403
    desk = officer("ivan", program, may_see=SEEN).enter(program)
    assert desk.get("consent/webhookendpoint/add/").status_code == 403
    for path in (
        f"webhookendpoint/{told.id}/rotate",
        f"webhookendpoint/{told.id}/off",
        f"webhookmessage/{message}/again",
    ):
        assert desk.post(f"consent/{path}/").status_code == 403
    for path in (f"webhookendpoint/{told.id}", f"webhookmessage/{message}"):
        page = desk.get(f"consent/{path}/change/").content.decode()
        assert 'id="deeds"' not in page and 'name="_save"' not in page
        assert desk.post(f"consent/{path}/delete/", post="yes").status_code == 403


def test_another_programs_rows_are_not_seen(
    program: Program, other: Program, owner: psycopg.Connection, desk: Desk
) -> None:
    theirs = endpoint(other, "https://theirs.example/")
    other.decide("alice")
    owner.execute("UPDATE webhook_message SET dead_at = now()")
    (message,) = messages(owner, "id")
    assert "theirs.example" not in desk.get("consent/webhookendpoint/").content.decode()
    assert str(message) not in desk.get("consent/webhookmessage/").content.decode()
    for path in (f"webhookendpoint/{theirs.id}/rotate", f"webhookmessage/{message}/again"):
        assert desk.post(f"consent/{path}/").status_code == 404
    assert owner.execute("SELECT previous FROM webhook_endpoint").fetchone() == (None,)
