"""POST /v1/batch: what each of Segment's messages comes to. test_segment_client.py sends with Segment's own client."""

import gzip
import hashlib
import json
import os
import time
import uuid
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta
from typing import Any

import psycopg
import pytest

from consent import edge
from consent.programs.tenancy import tenant
from tests.cast import Program, now
from tests.tracking.segment import LIBRARY, basic, message, post, send, told, track
from tracking.catalogue import import_catalogue
from tracking.catalogue import parse as parse_catalogue
from tracking.models import IngestCount

STORED = ("stored", None)
PERSONALISATION = "personalisation"


@pytest.fixture
def known(program: Program) -> Program:
    """A mini-program where alice has given both purposes."""
    program.decide("alice")
    program.decide("alice", purpose=PERSONALISATION)
    return program


def rows(owner: psycopg.Connection, columns: str, order: str = "e.received_at, e.event_id") -> list[Any]:
    query = (
        f"SELECT {columns} FROM event e JOIN event_type t ON t.id = e.type_id LEFT JOIN page p ON p.id = e.page_id"
        f" ORDER BY {order}"
    )
    return owner.execute(query.encode()).fetchall()


def one(owner: psycopg.Connection, columns: str) -> Any:
    (row,) = rows(owner, columns)
    return row


def kept(owner: psycopg.Connection) -> tuple[int, int, int]:
    """How many events, attributes and identifiers there are."""
    counts = [
        owner.execute(f"SELECT count(*) FROM {table}".encode()).fetchone()
        for table in ("event", "profile_attribute", "subject_identifier")
    ]
    events, attributes, identifiers = (row[0] for row in counts if row is not None)
    return events, attributes, identifiers


# --- Events ----------------------------------------------------------------------------------------------------------


def test_a_track_call_is_an_event(known: Program, owner: psycopg.Connection) -> None:
    sent = track("payment", properties={"amount": 12.5})
    answer = send(known, sent)
    assert answer == {
        "success": True, "stored": 1, "duplicate": 0, "refused": 0, "retry": 0,
        "results": [{"message_id": sent["messageId"], "result": "stored"}],
    }  # fmt: skip
    row = one(owner, "t.name, e.event_id, e.properties, e.context, e.occurred_at, p.path, e.session_id")
    assert row[:4] == ("payment", sent["messageId"], {"amount": 12.5}, None)
    assert row[4] == datetime.fromisoformat(sent["timestamp"])
    assert row[5:] == (None, None)


@pytest.mark.parametrize(
    ("name", "is_called"),
    [
        ("add_to_cart", "add_to_cart"),
        ("Add To Cart", "add_to_cart"),
        ("Add-to-Cart", "add_to_cart"),
        (" ADD  to - cart ", "add_to_cart"),
        ("AddToCart", None),
        ("Add.To.Cart", None),
        ("加入购物车", None),
        ("a" * 65, None),
        ("", None),
    ],
)
def test_a_name_is_found_in_the_catalogue(
    known: Program, owner: psycopg.Connection, name: str, is_called: str | None
) -> None:
    answer = send(known, track(name))
    if is_called is None:
        (result,) = answer["results"]
        assert (result["result"], result["pointer"]) == ("refused", "/batch/0/event")
        assert result["code"] == ("unknown_event" if 0 < len(name) <= 64 else "invalid_event")
    else:
        assert told(answer) == [STORED]
        assert one(owner, "t.name") == (is_called,)


@pytest.mark.parametrize("kind", ["page", "screen"])
@pytest.mark.parametrize(
    ("more", "path"),
    [
        ({"properties": {"path": "/goods/1"}}, "/goods/1"),
        ({"properties": {"path": "/goods/1?from=138#top"}}, "/goods/1"),
        ({"properties": {"url": "https://u:p@shop.example/goods/1?q=x"}}, "/goods/1"),
        ({"properties": {"path": "/goods", "url": "https://shop.example/other"}, "name": "Goods"}, "/goods"),
        ({"name": "Order List"}, "Order List"),
        ({"name": "pages/index"}, "pages/index"),
        ({"name": "Goods", "properties": {"path": None, "url": ""}}, "Goods"),
        ({"context": {"page": {"path": "/from/context", "referrer": "https://x.example/?q=1"}}}, "/from/context"),
        ({"context": {"page": {"url": "https://shop.example/from/url?q=1"}}}, "/from/url"),
        ({}, None),
    ],
)
def test_a_page_is_its_path(
    known: Program, owner: psycopg.Connection, kind: str, more: dict[str, Any], path: str | None
) -> None:
    assert told(send(known, message(kind, **more))) == [STORED]
    assert one(owner, "t.name, p.path, e.properties") == ("page_view", path, None)


def test_a_track_call_knows_the_page_it_was_made_on(known: Program, owner: psycopg.Connection) -> None:
    assert told(send(known, track("search", context={"page": {"path": "/goods?q=shoes"}}))) == [STORED]
    assert one(owner, "p.path") == ("/goods",)


def test_what_a_page_call_adds_by_itself_is_dropped_and_the_callers_own_is_judged(
    known: Program, owner: psycopg.Connection
) -> None:
    standard = {
        "path": "/goods", "url": "https://shop.example/goods?token=secret", "search": "?token=secret",
        "referrer": "https://search.example/?q=secret", "title": "Goods", "keywords": ["a"], "name": "Goods",
        "category": "Shop",
    }  # fmt: skip
    own = {"referrer_page": "pages/home"}
    answer = send(
        known,
        message("page", name="Goods", category="Shop", properties=standard | own),
        message("page", properties=standard | {"colour": "red"}),
        # A track call has no properties that it adds by itself.
        track(properties={"title": "Goods"}),
    )
    assert told(answer) == [STORED, ("refused", "undeclared_property"), ("refused", "undeclared_property")]
    assert [item.get("pointer") for item in answer["results"]] == [None, "/batch/1/properties", "/batch/2/properties"]
    assert one(owner, "e.properties, p.path") == (own, "/goods")


def test_the_context_that_has_an_equivalent_is_kept_and_nothing_else(known: Program, owner: psycopg.Connection) -> None:
    told_much = LIBRARY | {
        "os": {"name": "iOS", "version": "17.1"},
        "app": {"name": "Shop", "version": "1.4.0", "build": "7"},
        "network": {"wifi": False, "cellular": True, "carrier": "CMCC", "bluetooth": False},
        "campaign": {"name": "spring", "source": "wechat_ad", "medium": "cpc"},
    }
    wifi = {"network": {"wifi": True, "cellular": True}, "os": {"name": ""}, "app": None}
    assert told(send(known, track(context=told_much), track(context=wifi), track(context=LIBRARY))) == [STORED] * 3
    contexts = [row[0] for row in rows(owner, "e.context")]
    assert sorted(contexts, key=lambda context: -len(context or ())) == [
        {"os": "iOS", "app_version": "1.4.0", "network": "cellular", "channel": "wechat_ad"},
        {"network": "wifi"},
        None,
    ]


def test_nothing_that_was_not_asked_for_is_anywhere(
    known: Program, owner: psycopg.Connection, tables: list[str], caplog: pytest.LogCaptureFixture
) -> None:
    mark = "zqmark7f3e"
    marked = json.loads(json.dumps(LIBRARY).replace('": "', f'": "{mark}'))
    sent = message(
        "page", name="pages/a", context=marked | {"page": {"referrer": f"https://{mark}/"}}, integrations={mark: {mark: 1}},
        properties={"url": f"https://{mark}.example/p?{mark}", "title": mark, "search": mark, "referrer": mark}, **{mark: mark},
    )  # fmt: skip
    assert told(send(known, sent, track(properties={mark: mark}), context={mark: mark}, **{mark: mark}))[0] == STORED
    held = [str(row) for table in tables for row in owner.execute(f"SELECT t::text FROM {table} t".encode()).fetchall()]
    secret = known.key.rpartition("_")[2]
    assert not [row for row in held if mark in row or secret in row]
    assert mark not in caplog.text
    assert known.key not in caplog.text


def test_an_id_that_is_long_or_wraps_a_uuid_is_kept_as_its_hash(known: Program, owner: psycopg.Connection) -> None:
    wrapped = "node-next-1764100000000-aaaaa139-1234-4678-8123-0123456789ab"
    ids = ["order-17", str(uuid.uuid4()), wrapped, "x" * 64, "x" * 65, "x" * 100]
    answer = send(known, *[track(messageId=each) for each in ids])
    assert told(answer) == [STORED] * 6
    assert [result["message_id"] for result in answer["results"]] == ids
    hashed = [hashlib.sha256(each.encode()).hexdigest() for each in (ids[2], ids[4], ids[5])]
    assert {row[0] for row in rows(owner, "e.event_id")} == {ids[0], ids[1], ids[3], *hashed}
    assert told(send(known, *[track(messageId=each) for each in ids])) == [("duplicate", None)] * 6


def test_a_retry_is_a_duplicate(known: Program, owner: psycopg.Connection) -> None:
    sent = [track(), message("page", name="pages/a")]
    assert send(known, *sent)["stored"] == 2
    answer = send(known, *sent, track())
    assert (answer["stored"], answer["duplicate"]) == (1, 2)
    assert kept(owner)[0] == 3


def test_the_senders_clock_is_corrected(known: Program, owner: psycopg.Connection) -> None:
    known.decide("bob", occurred_at=(now() - timedelta(hours=3)).isoformat())
    at, hours = now(), timedelta(hours=2)
    behind = {"timestamp": (at - hours).isoformat(), "anonymousId": "bob"}
    assert told(send(known, track(**behind), sentAt=(at - hours).isoformat())) == [STORED]
    assert told(send(known, track(**behind, sentAt=(at - hours).isoformat()))) == [STORED]
    for (corrected,) in rows(owner, "e.corrected_at"):
        assert abs(corrected - at) < timedelta(seconds=20)
    answer = send(known, track(), sentAt=(at - timedelta(days=2)).isoformat())
    assert answer["results"][0]["pointer"] == "/sentAt"


# --- Who it is -------------------------------------------------------------------------------------------------------


def test_both_ids_name_the_subject(known: Program, owner: psycopg.Connection) -> None:
    by_user = known.post(
        "consents",
        {
            "subject": {"external_id": "u-1"}, "notice": known.notice, "locale": "en", "method": "dialog", "act": "single",
            "decisions": [{"purpose": "analytics", "decision": "given"}],
        },
    )  # fmt: skip
    assert by_user.status_code == 201
    answer = send(
        known,
        track(),
        track(anonymousId=None, userId="u-1"),
        track(anonymousId="new-device", userId="u-1"),
        track(anonymousId="alice", userId="new-user"),
        track(anonymousId="nobody"),
        track(anonymousId="alice", userId="u-1"),
        track(anonymousId=None),
        track(anonymousId=None, userId=42),
    )
    assert told(answer) == [
        STORED, STORED, STORED, STORED, ("refused", "consent_missing"), ("refused", "invalid_event"),
        ("refused", "invalid_event"), ("refused", "consent_missing"),
    ]  # fmt: skip
    assert [item.get("pointer") for item in answer["results"]][4:] == [None, "/batch/5/userId", "/batch/6/userId", None]
    # None of them makes two ids one person's, or anybody known.
    assert kept(owner)[2] == 2


@pytest.mark.parametrize(
    ("decision", "code"),
    [("refused", "consent_refused"), ("withdrawn", "consent_withdrawn"), (None, "consent_missing")],
)
def test_without_consent_nothing_is_stored(
    program: Program, owner: psycopg.Connection, decision: str | None, code: str
) -> None:
    if decision is not None:
        program.decide("alice")
        program.decide("alice", decision)
    before = kept(owner)
    sent = [track(), message("page"), message("screen"), message("identify", traits={"city": "x"}, userId="u-1")]
    assert told(send(program, *sent, message("identify", userId="u-1"))) == [("refused", code)] * 5
    assert kept(owner) == before


# --- Identify --------------------------------------------------------------------------------------------------------


def attributes(owner: psycopg.Connection) -> set[str]:
    return {row[0] for row in owner.execute("SELECT name FROM profile_attribute").fetchall()}


def test_identify_sets_attributes(known: Program, owner: psycopg.Connection) -> None:
    sent = message("identify", traits={"city": "杭州", "nickname": "An"})
    assert told(send(known, sent)) == [STORED]
    assert attributes(owner) == {"city", "nickname"}
    # What was told last holds, and null takes away.
    assert told(send(known, message("identify", traits={"city": None, "nickname": "Ann"}, timestamp=None))) == [STORED]
    assert attributes(owner) == {"nickname"}


@pytest.mark.parametrize(
    ("traits", "code", "pointer"),
    [
        ({"email": "ann@example.com"}, "undeclared_attribute", "/batch/0/traits"),
        ({"city": "x", "firstName": "Ann"}, "undeclared_attribute", "/batch/0/traits"),
        ({"city": 7}, "invalid_event", "/batch/0/traits"),
        ({"address": {"city": "x"}}, "invalid_event", "/batch/0/traits"),
        ({"city": "x" * 1001}, "invalid_event", "/batch/0/traits"),
        ({"city": "x\x00"}, "invalid_event", "/batch/0"),
        ([], "invalid_event", "/batch/0/traits"),
    ],
)
def test_identify_is_all_or_nothing(
    known: Program, owner: psycopg.Connection, traits: Any, code: str, pointer: str
) -> None:
    before = kept(owner)
    answer = send(known, message("identify", traits=traits, userId="u-1"), track())
    assert told(answer) == [("refused", code), STORED]
    assert answer["results"][0]["pointer"] == pointer
    assert kept(owner)[1:] == before[1:]


def test_an_attribute_needs_consent_to_its_own_purpose(program: Program, owner: psycopg.Connection) -> None:
    program.decide("alice")
    answer = send(program, message("identify", traits={"city": "x"}, userId="u-1"))
    assert answer["results"][0]["code"] == "consent_missing"
    assert answer["results"][0]["pointer"] == "/batch/0/traits/city"
    # All or nothing, so the other id was not added either.
    assert told(send(program, track(anonymousId=None, userId="u-1"))) == [("refused", "consent_missing")]
    program.decide("alice", purpose=PERSONALISATION)
    program.decide("alice", "withdrawn", purpose=PERSONALISATION)
    assert told(send(program, message("identify", traits={"city": "x"}))) == [("refused", "consent_withdrawn")]


def test_identify_with_both_ids_joins_them_for_the_whole_batch(known: Program, owner: psycopg.Connection) -> None:
    before = kept(owner)
    answer = send(known, track(anonymousId=None, userId="u-1"), message("identify", userId="u-1"))
    assert told(answer) == [STORED, STORED]
    assert kept(owner)[2] == before[2] + 1
    assert told(send(known, message("identify", userId="u-1"), track(anonymousId=None, userId="u-1"))) == [STORED] * 2
    assert kept(owner)[2] == before[2] + 1


def test_two_people_are_never_made_one(known: Program, owner: psycopg.Connection) -> None:
    known.decide("bob")
    assert told(send(known, message("identify", anonymousId="bob", userId="u-2"))) == [STORED]
    before = kept(owner)
    answer = send(
        known,
        message("identify", userId="u-2", traits={"city": "x"}),  # alice's device, bob's user
        message("identify", anonymousId="another-device", userId="u-2"),
        message("identify", anonymousId="bob", userId="u-3"),
        message("identify", anonymousId="nobody", userId="nobody"),
        message("identify", anonymousId=" x", userId="u-2"),
    )
    assert told(answer) == [("refused", "identity_conflict")] * 3 + [
        ("refused", "consent_missing"), ("refused", "invalid_identifier"),
    ]  # fmt: skip
    assert answer["results"][4]["pointer"] == "/batch/4/anonymousId"
    assert kept(owner) == before


def test_identify_needs_the_scope_consents(known: Program, owner: psycopg.Connection) -> None:
    known.key = known.key_with("events")
    before = kept(owner)
    answer = send(known, message("identify", userId="u-1", traits={"city": "x"}), track())
    assert told(answer) == [("refused", "insufficient_scope"), STORED]
    assert kept(owner)[1:] == before[1:]


def test_an_erasure_closes_it(known: Program, owner: psycopg.Connection) -> None:
    filed = known.post("requests", {"subject": {"openid": "alice"}, "kind": "erasure", "locale": "en"})
    assert filed.status_code == 202
    before = kept(owner)
    answer = send(known, track(), message("identify", userId="u-1"), message("identify", traits={"city": "x"}))
    assert told(answer) == [("refused", "erasure_pending")] * 3
    assert kept(owner) == before


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


# --- Counting --------------------------------------------------------------------------------------------------------


def test_refused_events_are_counted_for_the_quality_report(known: Program) -> None:
    """A library shows nobody the answer's results, so that is where its user sees them. What is no event is not counted."""
    send(
        known, track(), track("unheard_of"), track(timestamp=None), message("page", messageId=None), 7,
        message("identify", traits=7), message("alias"),
    )  # fmt: skip
    with tenant(known.id):
        counted = {(row.answer, row.code): row.events for row in IngestCount.objects.all()}
    assert counted == {("accepted", ""): 1, ("refused", "unknown_event"): 1, ("refused", "invalid_event"): 3}
