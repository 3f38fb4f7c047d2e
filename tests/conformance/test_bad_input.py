"""Bad input to every call: the contract's problem+json, nothing stored, nothing echoed, no 500."""

import copy
import json
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import psycopg
import pytest
from django.test import Client

from tests.cast import Program, event, from_root, now
from tests.conformance.surface import CALLS, EACH_BY_ITSELF, WITH_BODY, Call, counted, told

CANARY = "canary-7f3e-杭州"
MOBILE = "13812345678"

WRONG: tuple[Any, ...] = (None, True, 0, -1, 10**30, 1.5e308, CANARY, "", [CANARY], [], {CANARY: CANARY}, {})
IDS = [json.dumps(value)[:24] for value in WRONG]


@pytest.fixture
def known(program: Program) -> Program:
    """A mini-program where alice has given what the calls are about."""
    program.decide("alice")
    program.decide("alice", purpose="personalisation")
    return program


class Unchanged:
    """Every table has as many rows as before."""

    def __init__(self, owner: psycopg.Connection, tables: list[str]) -> None:
        self._owner, self._tables = owner, tables
        self._before = counted(owner, tables)

    def check(self, what: object) -> None:
        assert counted(self._owner, self._tables) == self._before, f"something was stored: {what!r}"


@pytest.fixture
def stored(known: Program, owner: psycopg.Connection, tables: list[str]) -> Unchanged:
    return Unchanged(owner, tables)


def raw(program: Program, call: Call, data: bytes, content_type: str = "application/json", **headers: str) -> Any:
    headers = {"Authorization": f"Bearer {program.key}"} | {k.replace("_", "-"): v for k, v in headers.items()}
    return Client(raise_request_exception=False, headers=headers).generic(
        call.method, from_root(call.address(program)), data, content_type=content_type
    )


def silent(response: Any) -> None:
    shown = response.content.decode() + str(response.headers)
    assert CANARY not in shown
    assert "canary" not in shown
    assert MOBILE not in shown


NOT_JSON = {
    "white space": b" ",
    "half": b'{"subject": {"openid": "canary',
    "text": b"canary",
    "latin": '{"subject": {"openid": "canär"}}'.encode("latin-1"),
    "utf-16": '{"subject": {}}'.encode("utf-16"),
    "BOM": b"\xef\xbb\xbf{}",
    "deep lists": b"[" * 100_000 + b"]" * 100_000,
    "deep objects": b'{"subject":' * 20_000 + b"1" + b"}" * 20_000,
    "NaN": b'{"subject": NaN}',
    "two values": b"{} {}",
    "trailing comma": b'{"subject": {"openid": "canary"},}',
    "huge number": b'{"subject": ' + b"9" * 5_000 + b"}",
    "huge exponent": b'{"subject": 1e999999}',
    "lone surrogate": b'{"subject": {"openid": "canary\\ud800"}}',
    "NUL escaped": b'{"subject": {"openid": "canary\\u0000"}}',
    "NUL itself": b'{"subject": {"openid": "canary\x00"}}',
    "a list": b"[]",
    "null": b"null",
    "a string": b'"canary"',
}


@pytest.mark.parametrize("call", WITH_BODY, ids=lambda call: call.name)
def test_what_is_not_the_json_it_takes(known: Program, stored: Unchanged, call: Call) -> None:
    for name, data in NOT_JSON.items():
        response = raw(known, call, data)
        assert told(response, 400, 422)["code"] in {"malformed", "invalid"}, name
        silent(response)
    stored.check(call.name)


@pytest.mark.parametrize("call", WITH_BODY, ids=lambda call: call.name)
def test_the_envelope(known: Program, stored: Unchanged, call: Call) -> None:
    """Media type, coding, length and method."""
    body = json.dumps(call.body(known, "alice") if call.body else None).encode()
    for media_type in ("text/plain", "application/x-www-form-urlencoded", "multipart/form-data", "", CANARY):
        silent(refused := raw(known, call, body, media_type))
        told(refused, 415)
    for coding, status in (("gzip", 400), ("br", 415), ("deflate", 415), (CANARY.encode().hex(), 415)):
        told(raw(known, call, body, Content_Encoding=coding), status)
    told(raw(known, call, body[:-1] + b" " * (5 * 1024 * 1024) + b"}"), 413)
    # HEAD goes with GET; OPTIONS tells what an address takes.
    harmless = {"OPTIONS", "HEAD"}
    for method in {"GET", "PUT", "DELETE", "PATCH", "HEAD", "OPTIONS", "TRACE", "POST"} - {call.method}:
        response = known.call(method, call.address(known))
        if (method, call.path) not in {(other.method, other.path) for other in CALLS} and method not in harmless:
            assert response.status_code == 405, (method, response.content)
            assert response["Allow"]
    stored.check(call.name)


@pytest.mark.long
@pytest.mark.parametrize("call", CALLS, ids=lambda call: call.name)
def test_bad_keys(known: Program, stored: Unchanged, call: Call) -> None:
    headers = ("", "Bearer", f"Bearer {CANARY}", "Basic canary", "Bearer zq_a_b", "Bearer zq__", known.key,
               f"Bearer {known.key}0", f"Bearer {known.key} canary", "Bearer zq_\x00_canary", "Bearer " + "z" * 9000)  # fmt: skip
    for header in headers:
        response = known.call(
            call.method, call.address(known), call.body(known, "alice") if call.body else None, Authorization=header
        )
        if call.scope is not None:
            assert told(response, 401)["code"] == "unauthenticated"
            assert "Bearer" in response["WWW-Authenticate"]
        silent(response)
    stored.check(call.name)


def places(value: Any, path: tuple[str | int, ...] = ()) -> Iterator[tuple[str | int, ...]]:
    """The path of everything in a body, itself included."""
    yield path
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, item in items:
        yield from places(item, (*path, key))


def altered(body: Any, path: tuple[str | int, ...], value: Any) -> Any:
    changed = copy.deepcopy(body)
    at = changed
    for step in path[:-1]:
        at = at[step]
    at[path[-1]] = value
    return changed


def without(body: Any, path: tuple[str | int, ...]) -> Any:
    changed = copy.deepcopy(body)
    at = changed
    for step in path[:-1]:
        at = at[step]
    del at[path[-1]]
    return changed


def variants(body: Any) -> Iterator[tuple[str, Any]]:
    """The body with each field wrong, missing, or beside one that is unknown."""
    for path in places(body):
        if path:
            for value in WRONG:
                yield f"{path} = {str(value)[:20]}", altered(body, path, value)
            yield f"{path} missing", without(body, path)
        held = body
        for step in path:
            held = held[step]
        if isinstance(held, dict):
            yield f"{path} unknown", altered(body, (*path, "canary_field"), CANARY)


def refused_batch(response: Any) -> bool:
    """A batch of events answers 200 and refuses each event by itself."""
    answer = response.json()
    assert answer["stored"] + answer["duplicate"] + answer["refused"] + answer["retry"] == len(answer["results"])
    return bool(answer["refused"] == len(answer["results"]))


@pytest.mark.long
@pytest.mark.parametrize("call", WITH_BODY, ids=lambda call: call.name)
def test_each_field_wrong_or_missing(known: Program, owner: psycopg.Connection, tables: list[str], call: Call) -> None:
    """Either it is taken (a field that may be left out or be so) or it is a problem and nothing was stored."""
    assert call.body is not None
    refusals = 0
    before = counted(owner, tables)
    for name, body in variants(call.body(known, "alice")):
        response = known.call(call.method, call.address(known), body)
        after = counted(owner, tables)
        if response.status_code == call.status and not (call.name in EACH_BY_ITSELF and refused_batch(response)):
            before = after
            continue
        if response.status_code != call.status:
            told(response)
            silent(response)
        elif "'event_id'" not in name and "'messageId'" not in name:
            # An event's own id is answered with its result; nothing else of it is.
            silent(response)
        refusals += 1
        assert after == before, f"{name}: {response.status_code}, and something was stored"
    assert refusals > 10


def doubled(body: Any) -> Iterator[bytes]:
    """The body as JSON with a name given twice, for each object in it."""
    for path in places(body):
        held = body
        for step in path:
            held = held[step]
        if isinstance(held, dict) and held:
            name = next(iter(held))
            marked = altered(body, path, {"@@": 0, **held}) if path else {"@@": 0, **held}
            again = json.dumps(name) + ": " + json.dumps(held[name])
            yield json.dumps(marked).replace('"@@": 0', again).encode()


@pytest.mark.parametrize("call", WITH_BODY, ids=lambda call: call.name)
def test_a_name_given_twice(known: Program, stored: Unchanged, call: Call) -> None:
    assert call.body is not None
    for data in doubled(call.body(known, "alice")):
        response = raw(known, call, data)
        if response.status_code == 200 and call.name in EACH_BY_ITSELF:
            assert refused_batch(response)
        else:
            told(response, 400, 422)
    stored.check(call.name)


UNKNOWN: tuple[tuple[str, str, Any, tuple[int, ...]], ...] = (
    ("GET", f"notices/{CANARY}", None, (404,)),
    ("GET", "notices/" + "f" * 64, None, (404,)),
    ("GET", "notices/current", None, (422,)),
    ("GET", "notices/current?program=999999999", None, (404,)),
    ("GET", "notices/current?program=canary", None, (422,)),
    ("GET", "notices/current?program=99999999999999999999", None, (422,)),
    ("GET", "notices/current?program=-1", None, (422,)),
    ("GET", "notices/current?program=1%00", None, (422,)),
    ("GET", "notices/current?program=1&audience=canary", None, (422,)),
    ("GET", "notices/current?program=1&locale=canary", None, (422,)),
    ("GET", "notices/%00", None, (404,)),
    ("GET", "notices/%ff%fe", None, (404,)),
    ("GET", "receipts/canary", None, (404,)),
    ("GET", "receipts/%00", None, (404,)),
    ("GET", "receipts/00000000-0000-0000-0000-000000000000", None, (404,)),
    ("GET", "requests/canary", None, (404,)),
    ("GET", "requests/00000000-0000-0000-0000-000000000000", None, (404,)),
    ("POST", "requests/00000000-0000-0000-0000-000000000000/withdraw", None, (404,)),
    ("GET", "requests?limit=canary", None, (422,)),
    ("GET", "requests?limit=0", None, (422,)),
    ("GET", "requests?limit=1000000000000", None, (422,)),
    ("GET", "requests?cursor=canary", None, (422,)),
    ("GET", "requests?cursor=", None, (422,)),
    ("GET", "requests?cursor=%00", None, (422,)),
    ("GET", "requests?cursor=MDAwMS0wMS0wMVQwMDowMDowMCsyMzo1OSAwMDAwMDAwMC0wMDAwLTAwMDAtMDAwMC0wMDAwMDAwMDAwMDA%3D",
     None, (200, 422)),
    ("POST", "reports/canary", {"from": "2026-01-01", "to": "2026-01-01"}, (404,)),
    ("POST", "reports/activity", {"from": "2026-01-02", "to": "2026-01-01"}, (422,)),
    ("POST", "reports/activity", {"from": "0001-01-01", "to": "9999-12-31"}, (422,)),
    ("POST", "reports/activity", {"from": "2026-01-01", "to": "2026-01-01", "breakdown": "canary"}, (422,)),
    ("POST", "reports/trends", {"from": "2026-01-01", "to": "2026-01-01", "event": "canary"}, (422,)),
    ("POST", "reports/trends", {"from": "2026-01-01", "to": "2026-01-01", "event": "tap", "property": "canary"}, (422,)),
    ("POST", "reports/trends", {"from": "2026-01-01", "to": "2026-01-01", "breakdown": "properties.canary"}, (422,)),
    ("POST", "reports/trends",
     {"from": "2026-01-01", "to": "2026-01-01", "filters": [{"field": "canary", "op": "eq", "value": "canary"}]}, (422,)),
    ("POST", "reports/trends",
     {"from": "2026-01-01", "to": "2026-01-01", "filters": [{"field": "os", "op": "in", "value": {"canary": 1}}]}, (422,)),
    ("POST", "reports/pages", {"from": "2026-01-01", "to": "2026-01-01", "interval": "day"}, (422,)),
    ("POST", "reports/anomalies", {"from": "2026-01-01", "to": "2026-01-01", "event": "canary"}, (422,)),
    ("POST", "reports/anomalies", {"from": "2026-01-01", "to": "2026-12-31"}, (422,)),
    ("POST", "reports/forecast", {"from": "2026-01-01", "to": "2026-01-01", "measure": "canary"}, (422,)),
    ("POST", "reports/forecast", {"from": "2026-01-01", "to": "2026-01-01", "horizon": 1000000000000}, (422,)),
    ("POST", "reports/contribution", {"from": "2026-01-01", "to": "2026-01-01", "breakdown": "canary"}, (422,)),
    ("POST", "reports/contribution",
     {"from": "2026-01-01", "to": "2026-01-01", "breakdown": "os", "compare_from": "0001-01-01"}, (422,)),
    ("POST", "reports/contribution",
     {"from": "2026-01-01", "to": "2026-01-01", "breakdown": "os", "measure": "ratio", "event": "tap", "per": "canary"}, (422,)),
    ("POST", "reports/funnel",
     {"from": "2026-01-01", "to": "2026-01-01", "window_s": 60, "steps": [{"event": "tap"}, {"event": "canary"}]}, (422,)),
    ("POST", "consents/status", {"subject": {"openid": "alice"}, "purposes": ["canary"]}, (422,)),
    ("POST", "consents/history", {"subject": {"openid": "alice"}, "purposes": ["canary"]}, (422,)),
    ("POST", "consents/history?cursor=canary", {"subject": {"openid": "alice"}}, (422,)),
    ("POST", "consents/history?limit=0", {"subject": {"openid": "alice"}}, (422,)),
    ("POST", "identities", {"subject": {"openid": "canary"}, "add": {"phone": MOBILE}}, (404,)),
    ("POST", "identities", {"subject": {"openid": "alice"}, "add": {"phone": "canary"}}, (422,)),
    ("POST", "identities", {"subject": {"phone": MOBILE}, "add": {"external_id": "canary"}}, (422,)),
    ("POST", "consents", {"subject": {"openid": "alice"}, "decisions": [{"purpose": "canary", "decision": "withdrawn"}]},
     (422,)),
    ("PUT", "profile", {"subject": {"openid": "alice"}, "attributes": {"undeclared": "canary"}}, (422,)),
    ("GET", "canary", None, (404,)),
    ("GET", "%00canary", None, (404,)),
)  # fmt: skip


@pytest.mark.long
@pytest.mark.parametrize(("method", "path", "body", "statuses"), UNKNOWN, ids=[f"{m} {p}" for m, p, *_ in UNKNOWN])
def test_what_is_unknown(
    known: Program, stored: Unchanged, method: str, path: str, body: Any, statuses: tuple[int, ...]
) -> None:
    response = known.call(method, path, body)
    if response.status_code != 200:
        told(response, *statuses)
    assert response.status_code in statuses
    silent(response)
    stored.check(path)


@pytest.mark.parametrize("call", [call for call in CALLS if call.scope], ids=lambda call: call.name)
def test_a_key_without_the_scope(known: Program, stored: Unchanged, call: Call) -> None:
    others = {"consents", "events", "requests", "portal", "reports", "import"} - {str(call.scope)}
    stored = Unchanged(stored._owner, [table for table in stored._tables if table not in ("api_client", "api_key")])
    response = known.call(
        call.method,
        call.address(known),
        call.body(known, "alice") if call.body else None,
        Authorization=f"Bearer {known.key_with(*sorted(others))}",
    )
    assert told(response, 403)["code"] == "insufficient_scope"
    stored.check(call.name)


@pytest.mark.parametrize("key", ["", " " * 3 + "\x01", "é" * 300, "k" * 256, "\x7f"])
@pytest.mark.parametrize("name", ["record_consents", "file_request", "change_identities"])
def test_an_idempotency_key_that_cannot_be_one(known: Program, stored: Unchanged, name: str, key: str) -> None:
    call = next(call for call in CALLS if call.name == name)
    assert call.body is not None
    response = known.call(call.method, call.path, call.body(known, "alice"), Idempotency_Key=key)
    assert told(response, 422)["code"] == "invalid_idempotency_key"
    stored.check(key)


# --- Events, each answered by itself ---------------------------------------------------------------------------------


def results(program: Program, *events: Any, **more: Any) -> list[tuple[str, str | None]]:
    response = program.post("events", {"events": list(events)} | more)
    assert response.status_code == 200, response.content
    silent(response)
    return [(result["result"], result.get("code")) for result in response.json()["results"]]


def test_too_many_events(known: Program, stored: Unchanged) -> None:
    told(known.post("events", {"events": [event("alice", f"e{place}") for place in range(2001)]}), 422)
    told(known.post("events", {"events": []}), 422)
    stored.check("2,001 events")


def test_what_an_event_may_not_say(known: Program, stored: Unchanged) -> None:
    ago, ahead = now() - timedelta(days=8), now() + timedelta(days=2)
    bad: dict[str, tuple[dict[str, Any], str]] = {
        "type": (event("alice", "a", name="canary"), "unknown_event"),
        "subject": (event("canary", "b"), "consent_missing"),
        "property": (event("alice", "c", properties={"canary": "canary"}), "undeclared_property"),
        "property's type": (event("alice", "d", properties={"referrer_page": {"canary": 1}}), "invalid_property"),
        "mobile": (event("alice", "e", properties={"referrer_page": f"p/{MOBILE}"}), "identifier_in_property"),
        "mobile apart": (event("alice", "f", properties={"referrer_page": "+86 138-1234-5678"}), "identifier_in_property"),
        "mobile in a page": (event("alice", "g", page=f"pages/{MOBILE}"), "identifier_in_property"),
        "mobile in context": (event("alice", "h", context={"channel": MOBILE}), "identifier_in_property"),
        "query": (event("alice", "i", page="pages/index?canary=1"), "invalid_event"),
        "context": (event("alice", "j", context={"canary": "canary"}), "undeclared_property"),
        "past": (event("alice", "k", ago), "too_old"),
        "long past": (event("alice", "l") | {"occurred_at": "0001-01-01T00:00:00Z"}, "too_old"),
        "its edge": (event("alice", "m") | {"occurred_at": "0001-01-01T00:00:00+14:00"}, "invalid_event"),
        "future": (event("alice", "n", ahead), "in_the_future"),
        "far future": (event("alice", "o") | {"occurred_at": "9999-12-31T23:59:59Z"}, "in_the_future"),
        "its other edge": (event("alice", "p") | {"occurred_at": "9999-12-31T23:59:59-14:00"}, "invalid_event"),
        "naive": (event("alice", "q") | {"occurred_at": "2026-01-01T00:00:00"}, "invalid_event"),
        "no clock": (event("alice", "r", sent_at="9999-12-31T23:59:59Z"), "invalid_event"),
        "leap second": (event("alice", "s") | {"occurred_at": "2016-12-31T23:59:60Z"}, "invalid_event"),
        "control": (event("alice", "t\n"), "invalid_event"),
        "surrogate": (event("alice", "u", session_id="\ud800"), "invalid_event"),
        "NUL": (event("alice", "v", properties={"referrer_page": "canary\x00"}), "invalid_event"),
        "dwell": (event("alice", "w", dwell_ms=10**30), "invalid_event"),
        "nobody": (event("alice", "x") | {"subject": {}}, "invalid_event"),
    }  # fmt: skip
    for name, (sent, code) in bad.items():
        response = known.post("events", {"events": [sent]})
        silent(response)
        if response.status_code == 200:
            result = response.json()["results"][0]
            assert (result["result"], result["code"]) == ("refused", code), name
        else:
            told(response, 400)
            assert name in {"surrogate"}, name
    stored.check("events")


def test_one_bad_event_is_one_refusal(known: Program) -> None:
    bad = event("alice", "bad") | {"dwell_ms": CANARY}
    assert results(known, event("alice", "one"), bad, event("alice", "two")) == [
        ("stored", None),
        ("refused", "invalid_event"),
        ("stored", None),
    ]
