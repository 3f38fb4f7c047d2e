"""POST /events, as a backend sends it."""

import gzip
import json
from datetime import timedelta
from typing import Any

import psycopg
import pytest
from django.db import connection
from django.test import Client

from tests.cast import Program, event, now


def codes(answer: Any) -> list[tuple[str, str | None]]:
    return [(result["result"], result.get("code")) for result in answer["results"]]


def count(owner: psycopg.Connection) -> int:
    row = owner.execute("SELECT count(*) FROM event").fetchone()
    assert row is not None
    return int(row[0])


def test_a_consented_event_is_stored_with_its_record(program: Program, owner: psycopg.Connection) -> None:
    program.decide("alice")
    sent = event(
        "alice", "e1", page="pages/index", dwell_ms=1200, scene=1001, session_id="s1",
        context={"os": "ios"}, properties={"referrer_page": "pages/home"},
    )  # fmt: skip
    answer = program.send(sent, event("alice", "e2"))
    assert (answer["stored"], answer["duplicate"], answer["refused"], answer["retry"]) == (2, 0, 0, 0)
    row = owner.execute(
        "SELECT e.program_id, p.path, e.dwell_ms, e.scene, e.session_id, e.context, e.properties, t.name, r.state,"
        " e.occurred_at, e.corrected_at, e.day = (e.occurred_at AT TIME ZONE 'UTC')::date"
        " FROM event e JOIN event_type t ON t.id = e.type_id JOIN consent_record r ON r.id = e.consent_record_id"
        " LEFT JOIN page p ON p.id = e.page_id WHERE event_id = 'e1'"
    ).fetchone()
    assert row is not None
    assert row[:9] == (
        program.id, "pages/index", 1200, "1001", "s1", {"os": "ios"}, {"referrer_page": "pages/home"}, "page_view", "given",
    )  # fmt: skip
    assert row[9].isoformat() == row[10].isoformat()
    assert row[11]


def test_each_day_with_events_is_marked_once(program: Program, owner: psycopg.Connection) -> None:
    yesterday = now() - timedelta(hours=25)
    for name in ("alice", "bob"):
        program.decide(name, occurred_at=(now() - timedelta(days=2)).isoformat(), method="import")
    sent = [event("alice", "e1"), event("bob", "e2", yesterday), event("alice", "e3", yesterday), event("alice", "e4")]
    assert program.send(*sent)["stored"] == 4
    marks = owner.execute("SELECT program_id, subject_id, day FROM subject_day").fetchall()
    assert len(marks) == 3
    assert set(marks) == set(owner.execute("SELECT program_id, subject_id, day FROM event").fetchall())


def test_a_retry_is_a_duplicate_and_the_rest_is_stored(program: Program, owner: psycopg.Connection) -> None:
    program.decide("alice")
    first = event("alice", "e1")
    assert program.send(first)["stored"] == 1
    answer = program.send(first, event("alice", "e2"), first)
    assert codes(answer) == [("duplicate", None), ("stored", None), ("duplicate", None)]
    assert count(owner) == 2


def test_a_call_asks_nothing_to_learn_that_its_connection_lives(
    program: Program, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The key was looked up by way of it a moment before."""
    program.decide("alice")
    looks: list[bool] = []

    def is_usable() -> bool:
        looks.append(True)
        return True

    monkeypatch.setattr(connection, "is_usable", is_usable)
    monkeypatch.setattr(connection, "health_check_enabled", True)
    monkeypatch.setattr(connection, "health_check_done", False)
    assert program.send(event("alice", "e1"))["stored"] == 1
    assert not looks


@pytest.mark.parametrize(
    ("decision", "code"),
    [
        (None, "consent_missing"),
        ("deferred", "consent_missing"),
        ("refused", "consent_refused"),
        ("withdrawn", "consent_withdrawn"),
    ],
)
def test_without_consent_nothing_is_stored(
    program: Program, owner: psycopg.Connection, decision: str | None, code: str
) -> None:
    if decision == "withdrawn":
        program.decide("alice")
    if decision:
        program.decide("alice", decision)
    assert codes(program.send(event("alice", "e1", page="pages/secret"))) == [("refused", code)]
    assert count(owner) == 0
    assert owner.execute("SELECT count(*) FROM page").fetchone() == (0,)
    assert owner.execute("SELECT count(*) FROM subject_day").fetchone() == (0,)


def test_events_of_before_consent_and_of_a_gap_are_refused_after_a_new_consent(program: Program) -> None:
    program.decide("alice", occurred_at=(now() - timedelta(hours=3)).isoformat())
    inside = now() - timedelta(hours=2)
    program.post(
        "consents", {"subject": {"openid": "alice"}, "decisions": [{"purpose": "analytics", "decision": "withdrawn"}]}
    )
    gap = now()
    program.decide("alice")
    answer = program.send(
        event("alice", "before", now() - timedelta(hours=4)),
        event("alice", "inside", inside),
        event("alice", "gap", gap),
        event("alice", "after"),
    )
    outside = ("refused", "outside_consent")
    assert codes(answer) == [outside, outside, outside, ("stored", None)]


def test_an_event_of_before_a_renewal_names_the_record_in_force_then(
    program: Program, owner: psycopg.Connection
) -> None:
    program.decide("alice", occurred_at=(now() - timedelta(hours=3)).isoformat())
    renewed = program.decide("alice")
    assert renewed["records"][0]["state"] == "renewed"
    program.send(event("alice", "early", now() - timedelta(hours=1)), event("alice", "late"))
    rows = owner.execute(
        "SELECT e.event_id, r.version FROM event e JOIN consent_record r ON r.id = e.consent_record_id ORDER BY 2"
    ).fetchall()
    assert rows == [("early", 1), ("late", 2)]


@pytest.mark.parametrize(
    ("change", "code", "pointer"),
    [
        ({"name": "unheard_of"}, "unknown_event", "/events/0/name"),
        ({"properties": {"colour": "red"}}, "undeclared_property", "/events/0/properties"),
        ({"properties": {"referrer_page": 7}}, "invalid_property", "/events/0/properties/referrer_page"),
        ({"name": "tap"}, "invalid_property", "/events/0/properties/element"),
        ({"context": {"imei": "1"}}, "undeclared_property", "/events/0/context"),
        ({"context": {"os": ""}}, "invalid_property", "/events/0/context/os"),
        ({"page": "pages/a?phone=1"}, "invalid_event", "/events/0/page"),
        (
            {"properties": {"referrer_page": "tel 13812345678"}},
            "identifier_in_property",
            "/events/0/properties/referrer_page",
        ),
        ({"occurred_at": timedelta(days=-8)}, "too_old", "/events/0/occurred_at"),
        ({"occurred_at": timedelta(days=3)}, "in_the_future", "/events/0/occurred_at"),
        ({"occurred_at": timedelta(minutes=5)}, "in_the_future", "/events/0/occurred_at"),
        ({"occurred_at": "2026-10-01T10:00:00"}, "invalid_event", "/events/0/occurred_at"),
        ({"sent_at": timedelta(days=-2)}, "invalid_event", "/events/0/sent_at"),
        ({"event_id": ""}, "invalid_event", "/events/0/event_id"),
        ({"event_id": "a\tb"}, "invalid_event", "/events/0/event_id"),
        ({"page": "a\x00b"}, "invalid_event", "/events/0"),
        ({"subject": {}}, "invalid_event", "/events/0"),
        ({"subject": {"openid": " x"}}, "invalid_event", "/events/0/subject/openid"),
        ({"colour": "red"}, "invalid_event", "/events/0"),
        ({"dwell_ms": -1}, "invalid_event", "/events/0/dwell_ms"),
    ],
)
def test_one_bad_event_is_one_refusal(program: Program, change: dict[str, Any], code: str, pointer: str) -> None:
    """A timedelta stands for a time that far from now."""
    program.decide("alice")
    timed = {k: (now() + v).isoformat() if isinstance(v, timedelta) else v for k, v in change.items()}
    answer = program.send(event("alice", "bad") | timed, event("alice", "good"))
    assert codes(answer) == [("refused", code), ("stored", None)]
    assert answer["results"][0].get("pointer") == pointer


@pytest.mark.parametrize(
    "twisted", ['"page": "a", "page": "b"', '"page" : "a", "page": "b"', '"page": "say \\"x\\": y", "page": "b"']
)
def test_a_name_given_twice_is_refused(program: Program, twisted: str) -> None:
    program.decide("alice")
    body = json.dumps({"events": [event("alice", "bad", page="a"), event("alice", "good")]})
    answer = post_raw(program, body.replace('"page": "a"', twisted, 1)).json()
    assert codes(answer) == [("refused", "invalid_event"), ("stored", None)]
    # msgspec reads the last of them, and finds its fault first.
    twice = post_raw(program, body[:-1] + ', "events": []}')
    assert (twice.status_code, twice.json()["code"]) == (422, "invalid")
    twice = post_raw(program, '{"historical": false, "historical": false, ' + body[1:])
    assert (twice.status_code, twice.json()["code"]) == (400, "malformed")


def test_an_escaped_quote_before_a_colon_is_not_a_name(program: Program, owner: psycopg.Connection) -> None:
    program.decide("alice")
    assert program.send(event("alice", "e1", page='say "x": y'))["stored"] == 1
    assert owner.execute("SELECT path FROM page").fetchone() == ('say "x": y',)


@pytest.mark.parametrize(
    ("body", "status", "code"),
    [
        ("{", 400, "malformed"),
        ("[]", 422, "invalid"),
        ("{}", 422, "invalid"),
        ('{"events": []}', 422, "invalid"),
        ('{"events": [' + "1," * 2000 + "1]}", 422, "invalid"),
        ('{"events": [1], "more": 1}', 422, "invalid"),
        ('{"events": [1], "sent_at": "2026-10-01T10:00:00"}', 422, "invalid"),
        ('{"events": [' + "[" * 100_000, 400, "malformed"),
    ],
)
def test_a_bad_envelope_is_a_problem(program: Program, body: str, status: int, code: str) -> None:
    response = post_raw(program, body)
    assert (response.status_code, response.json()["code"]) == (status, code)
    assert response["Content-Type"] == "application/problem+json"


def test_historical_needs_the_scope_import(program: Program) -> None:
    program.decide("alice", occurred_at=(now() - timedelta(days=100)).isoformat(), method="import")
    old = event("alice", "e1", now() - timedelta(days=50))
    assert codes(program.send(old)) == [("refused", "too_old")]
    assert codes(program.send(old, historical=True)) == [("stored", None)]
    program.key = program.key_with("events")
    response = program.post("events", {"events": [old], "historical": True})
    assert (response.status_code, response.json()["code"]) == (403, "insufficient_scope")


def test_a_clock_that_is_off_is_corrected(program: Program, owner: psycopg.Connection) -> None:
    program.decide("alice", occurred_at=(now() - timedelta(hours=5)).isoformat())
    behind = timedelta(hours=2)
    sent = event("alice", "e1", now() - behind - timedelta(minutes=1), sent_at=(now() - behind).isoformat())
    assert codes(program.send(sent)) == [("stored", None)]
    row = owner.execute("SELECT received_at - corrected_at FROM event").fetchone()
    assert row is not None
    assert abs(row[0] - timedelta(minutes=1)) < timedelta(seconds=5)


def test_another_programs_key_reaches_neither_subject_nor_event(
    program: Program, other: Program, owner: psycopg.Connection
) -> None:
    program.decide("alice")
    assert codes(other.send(event("alice", "e1"))) == [("refused", "consent_missing")]
    other.decide("alice")
    assert codes(other.send(event("alice", "e1"))) == [("stored", None)]
    assert owner.execute("SELECT program_id FROM event").fetchall() == [(other.id,)]


def test_a_key_without_the_scope_and_a_wrong_key(program: Program) -> None:
    key, program.key = program.key, program.key_with("consents")
    response = program.post("events", {"events": [event("alice", "e1")]})
    assert (response.status_code, response.json()["code"]) == (403, "insufficient_scope")
    for wrong in (key[:-1], key.replace("zq_", "zz_"), "", "zq__"):
        program.key = wrong
        assert program.post("events", {"events": [event("alice", "e1")]}).status_code == 401


@pytest.mark.parametrize(
    ("body", "coding", "status"),
    [
        (gzip.compress(b'{"events": [1]}', mtime=0), "gzip", 200),
        (gzip.compress(b'{"events": [1]}', mtime=0)[:-1], "gzip", 400),
        (gzip.compress(b'{"events": [1]}', mtime=0) + b"x", "gzip", 400),
        (b'{"events": [1]}', "gzip", 400),
        (gzip.compress(b" " * 4_194_304 + b'{"events": [1]}', mtime=0), "gzip", 413),
        (b'{"events": [1]}', "br", 415),
        (b" " * 4_194_304 + b'{"events": [1]}', "identity", 413),
    ],
)
def test_a_body_may_come_with_gzip_within_the_bound(program: Program, body: bytes, coding: str, status: int) -> None:
    assert post_raw(program, body, coding).status_code == status


def post_raw(program: Program, body: str | bytes, coding: str = "identity") -> Any:
    client = Client(headers={"Authorization": f"Bearer {program.key}", "Content-Encoding": coding})
    data = body.encode() if isinstance(body, str) else body
    return client.generic("POST", "/api/v1/events", data, content_type="application/json")
