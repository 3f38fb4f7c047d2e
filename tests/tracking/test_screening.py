"""What an event may say of its subject and of its time, and what else is refused before or at the gate."""

import json
import uuid
from collections.abc import Sequence
from datetime import timedelta, timezone
from typing import Any

import psycopg
import pytest

from consent import identifiers
from consent.records.grants import of_state
from consent.records.models import ConsentState
from tests.cast import Program, event, now
from tests.tracking.test_events import codes, count, post_raw
from tracking.catalogue import import_catalogue, parse

OPENID = "oABCDEFGHIJKLMNOPQRSTUVWXYZ12"
MORE = """
events:
  opened:
    purpose: analytics
    categories: [behaviour]
    properties:
      order: {type: opaque_id, pattern: ".+"}
  measured:
    purpose: analytics
    categories: [behaviour, health]
"""


@pytest.fixture
def consented(program: Program) -> Program:
    import_catalogue(program_id=program.id, catalogue=parse(MORE), by="test", now=now())
    program.decide(OPENID)
    return program


@pytest.mark.parametrize(
    ("change", "place"),
    [
        ({"event_id": f"{OPENID}-1"}, "event_id"),
        ({"event_id": "13812345678-7"}, "event_id"),
        ({"session_id": OPENID}, "session_id"),
        ({"page": f"pages/u/{OPENID}"}, "page"),
        ({"scene": f"x{OPENID}"}, "scene"),
        ({"context": {"channel": OPENID}}, "context/channel"),
        ({"properties": {"referrer_page": f"pages/{OPENID}"}}, "properties/referrer_page"),
        ({"name": "opened", "properties": {"order": f"A-{OPENID}"}}, "properties/order"),
    ],
)
def test_an_event_repeats_no_identifier_of_its_subject(
    consented: Program, owner: psycopg.Connection, change: dict[str, Any], place: str
) -> None:
    answer = consented.send(event(OPENID, "e1") | change)
    assert codes(answer) == [("refused", "identifier_in_property")]
    assert answer["results"][0]["pointer"] == f"/events/0/{place}"
    assert count(owner) == 0


@pytest.mark.parametrize("name", ["colour", "itemId", "a13812345678", OPENID, "user/1", "张三", ""])
@pytest.mark.parametrize("place", ["properties", "context"])
def test_an_undeclared_name_is_refused_at_what_it_stands_in_and_not_repeated(
    program: Program, owner: psycopg.Connection, place: str, name: str
) -> None:
    """It was sent, and may be an identifier by mistake."""
    program.decide(OPENID)
    answer = program.send(event(OPENID, "e1") | {place: {name: "x"}})
    assert answer["results"] == [
        {"event_id": "e1", "result": "refused", "code": "undeclared_property", "pointer": f"/events/0/{place}"}
    ]
    assert count(owner) == 0


def test_what_is_not_declared_is_not_looked_at_however_long_it_is(
    consented: Program, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Accents in turn take a time that grows with the square of their number to compare."""
    looked: list[int] = []

    def noting(texts: Sequence[str]) -> set[int]:
        looked.extend(map(len, texts))
        return set()

    monkeypatch.setattr(identifiers, "suspects", noting)
    long = "a" + "\u0315\u0300" * 500
    answer = consented.send(
        event(OPENID, "e1") | {"properties": {"colour": long}},
        event(OPENID, "e2") | {"context": {"os": long}},
        event(OPENID, "e3", name="nothing", properties={"colour": long}),
    )
    assert [code for _, code in codes(answer)] == ["undeclared_property", "invalid_property", "unknown_event"]
    assert not [length for length in looked if length > 500]


@pytest.mark.parametrize("others", [0, 30])
def test_any_offset_of_a_time_is_taken(consented: Program, owner: psycopg.Connection, others: int) -> None:
    """One more than PostgreSQL reads, in either way of writing."""
    at = now().astimezone(timezone(timedelta(hours=23, minutes=59)))
    far = event(OPENID, "far") | {"occurred_at": at.isoformat()}
    assert consented.send(far, *(event(OPENID, f"e{n}") for n in range(others)))["stored"] == 1 + others
    assert owner.execute("SELECT occurred_at FROM event WHERE event_id = 'far'").fetchone() == (at,)


@pytest.mark.parametrize("kind", ["unionid", "external_id", "subject_id"])
def test_every_kind_of_identifier_is_looked_for(consented: Program, kind: str) -> None:
    pseudonym = consented.decide(OPENID, subject={"openid": OPENID, "unionid": "u-7341", "external_id": "crm-99"})
    named = {"unionid": "u-7341", "external_id": "crm-99", "subject_id": pseudonym["subject_id"]}[kind]
    sent = event(OPENID, "e1", page=f"pages/{named}") | {"subject": {kind: named}}
    assert codes(consented.send(sent)) == [("refused", "identifier_in_property")]


def test_short_identifiers_and_digits_within_random_ids_are_let_pass(consented: Program) -> None:
    consented.decide("alice")
    ids = ["a1381234-5678-4abc-8def-0123456789ab", "f" * 20 + "13812345678" + "f", str(uuid.uuid4()), "alice-1"]
    assert consented.send(*(event("alice", event_id) for event_id in ids))["stored"] == 4
    digits = {"order": "13812345678"}
    assert codes(consented.send(event("alice", "e5", name="opened", properties=digits))) == [("stored", None)]


@pytest.mark.parametrize(
    ("change", "code", "pointer"),
    [
        ({"occurred_at": "0001-01-01T00:00:00+14:00"}, "invalid_event", "/events/0/occurred_at"),
        ({"occurred_at": "9999-12-31T23:59:59-12:00"}, "invalid_event", "/events/0/occurred_at"),
        (
            {"occurred_at": "0001-01-01T00:00:00Z", "sent_at": timedelta(hours=1)},
            "invalid_event",
            "/events/0/occurred_at",
        ),
        ({"scene": "\x01"}, "invalid_event", "/events/0/scene"),
        ({"context": {"os": "\x07"}}, "invalid_property", "/events/0/context/os"),
        ({"context": {"os": "a\x00"}}, "invalid_event", "/events/0"),
        ({"context": {"os": "a\\\x00"}}, "invalid_event", "/events/0"),
    ],
)
def test_one_strange_event_is_one_refusal(program: Program, change: dict[str, Any], code: str, pointer: str) -> None:
    program.decide("alice")
    timed = {k: (now() + v).isoformat() if isinstance(v, timedelta) else v for k, v in change.items()}
    answer = program.send(event("alice", "bad") | timed, event("alice", "good"))
    assert codes(answer) == [("refused", code), ("stored", None)]
    assert answer["results"][0]["pointer"] == pointer


def test_the_text_of_an_escape_is_no_nul(program: Program, owner: psycopg.Connection) -> None:
    program.decide("alice")
    text = "a\\u0000b"
    assert r"a\\u0000b" in json.dumps(text)
    assert codes(program.send(event("alice", "e1", page=text))) == [("stored", None)]
    assert owner.execute("SELECT path FROM page").fetchone() == (text,)
    program.decide("alice", purpose="personalisation")
    body = {"subject": {"openid": "alice"}, "attributes": {"nickname": text}}
    assert program.call("PUT", "profile", body).status_code == 200
    body["attributes"] = {"nickname": "a\x00b"}
    assert program.call("PUT", "profile", body).status_code == 422


def test_copies_in_a_batch_are_each_refused_at_their_own_place(program: Program) -> None:
    program.decide("alice")
    ahead = event("alice", "x", now() + timedelta(minutes=5))
    answer = program.send(event("alice", "y"), ahead, ahead)
    assert [result.get("pointer") for result in answer["results"]] == [
        None,
        "/events/1/occurred_at",
        "/events/2/occurred_at",
    ]


def test_a_copy_of_what_the_gate_refused_is_judged_by_its_own_time(program: Program) -> None:
    """The copies tell two times of one day, of which the first lies before the consent by its sender's clock."""
    program.decide("alice")
    at = now()
    wrong = event("alice", "x", at, sent_at=(at + timedelta(hours=2)).isoformat())
    answer = program.send(wrong, event("alice", "x", at), event("alice", "x", at))
    assert codes(answer) == [("refused", "outside_consent"), ("stored", None), ("duplicate", None)]


@pytest.mark.parametrize("off", [timedelta(hours=-2), timedelta(hours=2)])
def test_neither_clock_may_reach_back_before_the_grant(program: Program, off: timedelta) -> None:
    """A clock behind: the time as sent lies before the grant. A clock ahead: the corrected time does."""
    program.decide("alice", occurred_at=(now() - timedelta(hours=1)).isoformat())
    at = now() + min(off, timedelta(0))
    sent = event("alice", "e1", at, sent_at=(now() + off).isoformat())
    assert codes(program.send(sent)) == [("refused", "outside_consent")]


def test_the_earlier_of_both_clocks_counts() -> None:
    """By itself, since the gate's search for an earlier record catches most of what this would let pass."""
    state = ConsentState(subject_id=1, purpose_id=1, state="given", record_id=1, grant_from=now())
    grant = of_state(state)
    inside, before = now(), now() - timedelta(hours=1)
    assert grant.covers(inside, inside, now())
    assert not grant.covers(inside, before, now())
    assert not grant.covers(before, inside, now())


def test_a_clock_ahead_does_not_reach_into_a_grant_that_was_withdrawn(program: Program) -> None:
    program.decide("alice", occurred_at=(now() - timedelta(hours=3)).isoformat())
    program.decide("alice", "withdrawn")
    program.decide("alice")
    at = now()
    sent = event("alice", "e1", at, sent_at=(at + timedelta(hours=2)).isoformat())
    assert codes(program.send(sent, event("alice", "e2"))) == [("refused", "outside_consent"), ("stored", None)]


def test_categories_the_notice_does_not_name_are_outside_the_consent(consented: Program) -> None:
    events = (event(OPENID, "e1", name="measured"), event(OPENID, "e2", name="opened"))
    assert codes(consented.send(*events)) == [("refused", "outside_consent"), ("stored", None)]


def test_an_event_of_an_inactive_purpose_is_unknown(program: Program, owner: psycopg.Connection) -> None:
    program.decide("alice")
    owner.execute("UPDATE purpose SET active = false WHERE code = 'analytics'")
    assert codes(program.send(event("alice", "e1"))) == [("refused", "unknown_event")]


def test_a_body_that_repeats_its_events_is_malformed(program: Program) -> None:
    body = json.dumps({"events": [event("alice", "e1")]})
    twice = post_raw(program, body[:-1] + ', "events": [1]}')
    assert (twice.status_code, twice.json()["code"]) == (400, "malformed")
