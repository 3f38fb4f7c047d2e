"""POST /v1/batch: what it refuses, what comes again, and who may call it."""

import gzip
import json
import os
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import psycopg
import pytest

from consent import edge
from tests.cast import Program, now
from tests.tracking.segment import STORED, basic, kept, message, post, rows, send, told, track
from tracking.catalogue import import_catalogue
from tracking.catalogue import parse as parse_catalogue

# --- What cannot be taken --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["alias", "group", "Track", "", "delete"])
def test_another_type_is_refused_and_the_rest_goes_on(known: Program, kind: str) -> None:
    other = message(kind, previousId="a", groupId="g", userId="u-1", traits={"employees": 7})
    answer = send(known, track(), other, track())
    assert told(answer) == [STORED, ("refused", "unsupported_type"), STORED]
    assert answer["results"][1] == {
        "message_id": other["messageId"], "result": "refused", "code": "unsupported_type", "pointer": "/batch/1/type",
    }  # fmt: skip


WRONG: tuple[Any, ...] = (True, 0, -1, 10**30, 1.5e308, "canary-7f3e", "", ["canary"], [], {"canary": "canary"}, {})
FULL = {
    "userId": "u-1",
    "sentAt": "2026-10-01T00:00:00Z",
    "name": "pages/a",
    "event": "page_view",
    "properties": {"path": "/a", "url": "https://shop.example/a", "referrer_page": "pages/home", "title": "A"},
    "traits": {"city": "x"},
    "context": {
        "os": {"name": "iOS"}, "app": {"version": "1"}, "network": {"wifi": True}, "campaign": {"source": "ad"},
        "page": {"path": "/a", "url": "https://shop.example/a"}, "library": {"name": "x"},
    },
}  # fmt: skip


def twisted(value: Any) -> Iterator[Any]:
    """The message with each value in it replaced by each wrong one, and with each left out."""
    yield from WRONG
    if isinstance(value, dict):
        for name in value:
            yield {other: item for other, item in value.items() if other != name}
            for twist in twisted(value[name]):
                yield value | {name: twist}


@pytest.mark.parametrize("kind", ["track", "page", "screen", "identify"])
def test_whatever_is_wrong_with_a_message_is_its_own_affair(
    known: Program, owner: psycopg.Connection, kind: str, caplog: pytest.LogCaptureFixture
) -> None:
    good = message(kind, **(FULL | {"sentAt": now().isoformat()}))
    if kind == "track":
        good["properties"] = {"referrer_page": "pages/home"}
    assert told(send(known, good)) == [STORED]
    many = list(twisted(good))
    assert len(many) > 300
    answers: list[Any] = []
    for start in range(0, len(many), 500):
        sent = [message("track", event="launch"), *many[start : start + 500]]
        answer = send(known, *sent)
        assert told(answer)[0] == STORED
        assert answer["success"] is True
        assert len(answer["results"]) == len(sent)
        answers += answer["results"][1:]
    assert sum(result["result"] == "refused" for result in answers) > 100
    for sent_one, result in zip(many, answers, strict=True):
        if "canary" not in str(sent_one.get("messageId") if isinstance(sent_one, dict) else sent_one):
            assert "canary" not in str(result), sent_one
        if result["result"] == "refused" and result["code"] == "invalid_event":
            assert result["pointer"].startswith(("/batch/", "/sentAt")), sent_one
    assert "canary" not in caplog.text
    # A declared property, a page, an os, an app's version and a channel may be called so, and a message; nothing else.
    held = rows(owner, "e.properties, e.context, to_jsonb(e) - 'event_id' - 'properties' - 'context'")
    assert {str(properties) for properties, _, _ in held} <= {
        "None", "{'referrer_page': 'pages/home'}", "{'referrer_page': 'canary-7f3e'}", "{'referrer_page': ''}",
    }  # fmt: skip
    assert {name for _, context, _ in held for name in context or ()} <= {"os", "app_version", "network", "channel"}
    assert not [rest for _, _, rest in held if "canary" in str(rest)]


@pytest.mark.parametrize(
    ("change", "pointer"),
    [
        ({"messageId": None}, ""),
        ({"messageId": "x" * 101}, "/messageId"),
        ({"messageId": "a\tb"}, "/messageId"),
        ({"timestamp": None}, "/timestamp"),
        ({"timestamp": "2026-10-01T10:00:00"}, "/timestamp"),
        ({"timestamp": 1764100000000}, "/timestamp"),
        ({"event": None}, "/event"),
        ({"userId": True}, "/userId"),
        ({"userId": ""}, "/userId"),
        ({"anonymousId": "x" * 129}, "/anonymousId"),
        ({"anonymousId": " x"}, "/anonymousId"),
        ({"properties": []}, "/properties"),
        ({"context": "x"}, "/context"),
        ({"context": {"os": {"name": 7}}}, "/context/os/name"),
        ({"type": "page", "properties": {"path": 7}}, "/properties/path"),
        ({"type": "page", "properties": {"path": "/" + "x" * 512}}, "/properties/path"),
        ({"type": "page", "name": "a?b"}, "/name"),
        ({"properties": {"referrer_page": "x" * 32_768}}, ""),
        ({"properties": {"referrer_page": "x\x00"}}, ""),
    ],
)
def test_the_pointer_names_the_place_in_the_message(known: Program, change: dict[str, Any], pointer: str) -> None:
    answer = send(known, track(), track(**change))
    assert told(answer) == [STORED, ("refused", "invalid_event")]
    assert answer["results"][1]["pointer"] == f"/batch/1{pointer}"


@pytest.mark.parametrize(
    ("change", "code", "pointer"),
    [
        ({"properties": {"referrer_page": 7}}, "invalid_property", "/properties/referrer_page"),
        ({"properties": {"referrer_page": "13812345678"}}, "identifier_in_property", "/properties/referrer_page"),
        ({"context": {"os": {"name": "x" * 65}}}, "invalid_property", "/context/os/name"),
        ({"context": {"app": {"version": "13812345678"}}}, "identifier_in_property", "/context/app/version"),
        ({"context": {"campaign": {"source": "x\ty"}}}, "invalid_property", "/context/campaign/source"),
        ({"messageId": "tel 13812345678"}, "identifier_in_property", "/messageId"),
        ({"type": "screen", "name": "tel 13812345678"}, "identifier_in_property", "/name"),
        ({"context": {"page": {"path": "/13812345678"}}}, "identifier_in_property", "/context/page/path"),
        ({"timestamp": "2020-01-01T00:00:00Z"}, "too_old", "/timestamp"),
        ({"timestamp": "2100-01-01T00:00:00Z"}, "in_the_future", "/timestamp"),
    ],
)
def test_ingests_own_refusals_point_into_the_message(
    known: Program, change: dict[str, Any], code: str, pointer: str
) -> None:
    answer = send(known, message("alias"), track(**change))
    assert told(answer)[1] == ("refused", code)
    assert answer["results"][1]["pointer"] == f"/batch/1{pointer}"


def test_a_mini_program_without_page_view_is_told(known: Program) -> None:
    retired = "events: {page_view: {purpose: analytics, categories: [behaviour], status: retired}}"
    import_catalogue(program_id=known.id, catalogue=parse_catalogue(retired), by="test", now=now())
    answer = send(known, message("page", name="pages/a"))
    assert told(answer) == [("refused", "unknown_event")]
    assert answer["results"][0]["pointer"] == "/batch/0/type"


@pytest.mark.parametrize(
    ("body", "status", "code"),
    [
        (b"{", 400, "malformed"),
        (b"[]", 422, "invalid"),
        (b"{}", 422, "invalid"),
        (b'{"batch": []}', 422, "invalid"),
        (b'{"batch": {}}', 422, "invalid"),
        (b'{"batch": [' + b"1," * 2500 + b"1]}", 422, "invalid"),
        (b'{"batch": [1], "sentAt": "2026-10-01T10:00:00"}', 422, "invalid"),
        (b'{"batch": [{"type": "track", "type": "page"}]}', 400, "malformed"),
        (b'{"batch": [1], "batch": [1]}', 400, "malformed"),
        (b'{"batch": ["\xff"]}', 400, "malformed"),
        (b'{"batch": [' + b"[" * 100_000, 400, "malformed"),
        (b'{"batch": [1]' + b" " * 4_194_304 + b"}", 413, "too_large"),
    ],
)
def test_a_bad_envelope_is_a_problem(program: Program, body: bytes, status: int, code: str) -> None:
    response = post(program, body)
    assert (response.status_code, response.json()["code"]) == (status, code)
    assert response["Content-Type"] == "application/problem+json"


def test_the_body_may_come_with_gzip(known: Program) -> None:
    body = gzip.compress(json.dumps({"batch": [track()]}).encode())
    response = post(known, body, Content_Encoding="gzip")
    assert (response.status_code, response.json()["stored"]) == (200, 1)


def test_as_many_as_a_batch_may_have(known: Program, owner: psycopg.Connection) -> None:
    """More than one transaction of ingest takes; refused ones in between, at the borders too."""
    sent = [track() if place % 5 else message("group") for place in range(2500)]
    sent[0] = sent[1999] = sent[2000] = sent[2499] = track(event="unheard_of")
    answer = send(known, *sent)
    wanted = [("stored" if place % 5 else "refused") for place in range(2500)]
    for place in (0, 1999, 2000, 2499):
        wanted[place] = "refused"
    assert [result["result"] for result in answer["results"]] == wanted
    assert [result["message_id"] for result in answer["results"]] == [each["messageId"] for each in sent]
    assert {result["pointer"] for result in answer["results"] if result.get("code") == "unknown_event"} == {
        f"/batch/{place}/event" for place in (0, 1999, 2000, 2499)
    }
    assert kept(owner)[0] == wanted.count("stored") == answer["stored"]


def test_a_batch_identifies_so_many_times_at_most(known: Program, owner: psycopg.Connection) -> None:
    before = kept(owner)
    sent = [message("identify", userId="u-1")] * 501
    response = post(known, {"batch": [track(), *sent]})
    assert (response.status_code, response.json()["code"]) == (422, "too_many_identifications")
    assert kept(owner) == before
    answer = send(known, track(), *sent[1:])
    assert answer["stored"] == 501


# --- Not now ---------------------------------------------------------------------------------------------------------


def test_where_a_message_cannot_be_decided_on_the_whole_batch_comes_again(
    known: Program, owner: psycopg.Connection
) -> None:
    """A withdrawal is under way for bob: alice's events are stored and the library, which resends all or none, is told 503."""
    known.decide("bob")
    intent = (
        "INSERT INTO withdrawal_intent (subject_id, purpose_id, program_id)"
        " SELECT subject_id, purpose_id, program_id FROM consent_state ORDER BY subject_id DESC LIMIT 1"
    )
    owner.execute(intent.encode())
    sent = [track(), track(anonymousId="bob"), message("group")]
    response = post(known, {"batch": sent})
    assert (response.status_code, response.json()["code"], response["Retry-After"]) == (503, "busy", "1")
    assert kept(owner)[0] == 1
    owner.execute("DELETE FROM withdrawal_intent")
    assert told(send(known, *sent)) == [("duplicate", None), STORED, ("refused", "unsupported_type")]
    assert kept(owner)[0] == 2


def test_an_identifier_that_another_call_is_adding_comes_again(known: Program, owner: psycopg.Connection) -> None:
    """The other call gives u-1 to bob: ours finds it free, waits for it, and loses."""
    known.decide("bob")
    lookup = edge.vault().lookup
    index = lookup.index(known.id, "external_id", "u-1", lookup.primary)

    def commit_once_waited_for() -> None:
        while not owner.execute("SELECT 1 FROM pg_locks WHERE NOT granted").fetchone():
            time.sleep(0.02)
        other.commit()

    with psycopg.connect(os.environ["DATABASE_OWNER_URL"]) as other, ThreadPoolExecutor(1) as pool:
        other.execute(
            "INSERT INTO subject_lookup (index, program_id, subject_id, kind, key_version)"
            " SELECT %s, program_id, max(subject_id), 'external_id', %s FROM subject_lookup GROUP BY program_id",
            [index, lookup.primary],
        )
        waiting = pool.submit(commit_once_waited_for)
        response = post(known, {"batch": [message("identify", userId="u-1")]})
        waiting.result(timeout=10)
    assert (response.status_code, response.json()["code"], response["Retry-After"]) == (503, "subject_changing", "1")
    assert told(send(known, message("identify", userId="u-1"))) == [("refused", "identity_conflict")]


# --- Keys ------------------------------------------------------------------------------------------------------------


def test_the_key_is_the_user_name_and_the_password_is_empty(known: Program) -> None:
    body = {"batch": [track()]}
    assert post(known, body, Authorization=basic(known.key).replace("Basic", "basic")).status_code == 200
    assert post(known, body, Authorization=f"Bearer {known.key}").status_code == 200
    wrong = (
        basic(known.key, "x"), basic(known.key[:-1]), basic(""), basic(f"é{known.key}"), basic(f"{known.key} x"),
        f"Basic {known.key}", "Basic", "Basic ====", "Basic //8=", "", f"Bearer {basic(known.key)}", f"Digest {known.key}",
    )  # fmt: skip
    for header in wrong:
        response = post(known, body | {"writeKey": known.key}, Authorization=header)
        assert (response.status_code, response.json()["code"]) == (401, "unauthenticated"), header
        assert response["WWW-Authenticate"].startswith("Basic ")
        assert known.key not in response.content.decode()
    elsewhere = known.post("events", {"events": []}, Authorization=basic(known.key))
    assert elsewhere.status_code == 401


def test_the_call_needs_the_scope_events(known: Program) -> None:
    known.key = known.key_with("consents", "requests", "reports", "import", "portal")
    response = post(known, {"batch": [track()]})
    assert (response.status_code, response.json()["code"]) == (403, "insufficient_scope")


def test_another_programs_key_reaches_nobody(known: Program, other: Program, owner: psycopg.Connection) -> None:
    before = kept(owner)
    sent = [track(), message("identify", traits={"city": "x"}, userId="u-1")]
    assert told(send(other, *sent)) == [("refused", "consent_missing")] * 2
    assert kept(owner) == before
