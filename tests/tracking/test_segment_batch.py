"""POST /v1/batch: what each of Segment's messages comes to. test_segment_client.py sends with Segment's own client."""

import hashlib
import json
import uuid
from datetime import datetime, timedelta
from typing import Any

import psycopg
import pytest

from consent.programs.tenancy import tenant
from tests.cast import Program, now
from tests.tracking.segment import LIBRARY, PERSONALISATION, STORED, kept, message, one, rows, send, told, track
from tracking.models import IngestCount

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


@pytest.mark.parametrize("last", ["refused", "withdrawn"])
def test_without_any_consent_the_newest_decision_says_why(program: Program, last: str) -> None:
    first, purpose, other = "refused" if last == "withdrawn" else "withdrawn", "analytics", PERSONALISATION
    for decided, about in ((first, purpose), (last, other)):
        program.decide("alice", purpose=about)
        program.decide("alice", decided, purpose=about)
    assert told(send(program, message("identify", userId="u-1"))) == [("refused", f"consent_{last}")]


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
