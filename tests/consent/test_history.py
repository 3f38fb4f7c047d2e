"""POST /consents/history: a subject's records, newest first, in pages."""

from typing import Any

import psycopg
import pytest

from tests.cast import Program
from tests.consent.acts import act, guarded, minors_notice
from tests.consent.rights import ask, problem


def history(program: Program, openid: str = "alice", query: str = "", **more: Any) -> Any:
    response = program.post(f"consents/history{query}", {"subject": {"openid": openid}} | more)
    assert response.status_code == 200, response.content
    return response.json()


def decided(page: Any) -> list[tuple[str, str]]:
    return [(record["purpose"], record["state"]) for record in page["results"]]


def test_every_record_newest_first(program: Program) -> None:
    program.decide("alice", "deferred")
    program.decide("alice", evidence={"form_id": "canary-form"}, age_band="adult")
    program.post("consents", act(program, ("analytics", "refused"), ("personalisation", "given"), act="bundled"))
    program.decide("bob")
    response = program.post("consents/history", {"subject": {"openid": "alice"}})
    assert b"canary" not in response.content
    page = response.json()
    assert decided(page) == [
        ("personalisation", "given"),
        ("analytics", "refused"),
        ("analytics", "given"),
        ("analytics", "requested"),
    ]
    assert page["next_cursor"] is None
    given = page["results"][2]
    assert given["occurred_at"] == given["received_at"] == given["authorises_from"]
    assert given["authorises_until"] > given["authorises_from"]
    told = ("notice", "act", "method", "locale", "age_band", "evidence")
    assert [given[name] for name in told] == [program.notice, "single", "dialog", "zh-Hans", "adult", True]
    refused = page["results"][1]
    assert (refused["act"], refused["authorises_from"], refused["evidence"]) == ("bundled", None, False)


def test_a_record_is_the_one_that_was_answered(program: Program) -> None:
    made = program.decide("alice")["records"][0]["record_id"]
    body = {"subject": {"openid": "alice"}, "decisions": [{"purpose": "analytics", "decision": "withdrawn"}]}
    withdrawn = program.post("consents", body).json()["records"][0]["record_id"]
    page = history(program)
    assert [record["record_id"] for record in page["results"]] == [withdrawn, made]
    bare = page["results"][0]
    assert [bare[name] for name in ("notice", "act", "method", "locale")] == [None] * 4


def test_pages_tell_each_record_once_whatever_is_decided_meanwhile(program: Program) -> None:
    for decision in ("given", "refused", "given"):
        program.post("consents", act(program, ("analytics", decision), ("personalisation", decision)))
    found, cursor = [], None
    while True:
        page = history(program, query="?limit=3" + (f"&cursor={cursor}" if cursor else ""))
        found += page["results"]
        cursor = page["next_cursor"]
        if cursor is None:
            break
        assert len(page["results"]) == 3, "the page ends in the middle of an act"
        program.decide("alice", "deferred")
    assert decided({"results": found}) == [
        ("personalisation", "given"), ("analytics", "given"),
        ("personalisation", "refused"), ("analytics", "refused"),
        ("personalisation", "given"), ("analytics", "given"),
    ]  # fmt: skip


def test_purposes_may_be_named(program: Program) -> None:
    for purpose in ("analytics", "personalisation", "analytics"):
        program.decide("alice", purpose=purpose)
    assert decided(history(program, purposes=["analytics"])) == [("analytics", "given")] * 2
    assert decided(history(program, purposes=["precise_location"])) == []
    response = program.post("consents/history", {"subject": {"openid": "a"}, "purposes": ["analytics", "nope"]})
    assert problem(response, 422, "unknown_purpose")["errors"][0]["pointer"] == "/purposes/1"


def test_whether_evidence_is_kept_tells_a_guardian_too(program: Program) -> None:
    program.decide("alice", **guarded(minors_notice(program)))
    (record,) = history(program)["results"]
    assert (record["age_band"], record["evidence"]) == ("under_14", True)


def test_nothing_is_told_of_nobody_and_nobody_is_made(program: Program, owner: psycopg.Connection) -> None:
    assert history(program, "nobody") == {"results": [], "next_cursor": None}
    assert owner.execute("SELECT count(*) FROM subject").fetchone() == (0,)


def test_what_is_to_be_erased_or_restricted_is_not_read(program: Program, owner: psycopg.Connection) -> None:
    program.decide("alice")
    owner.execute("UPDATE subject SET restricted = true")
    problem(program.post("consents/history", {"subject": {"openid": "alice"}}), 409, "restricted")
    owner.execute("UPDATE subject SET restricted = false")
    assert ask(program, "erasure").status_code == 202
    problem(program.post("consents/history", {"subject": {"openid": "alice"}}), 409, "erasure_pending")


@pytest.mark.parametrize(
    "cursor", ["", "x", "MSAx", "LTEgMQ==", "MSAxIDE=", "MQ==", "MSA5OTk5OTk5OTk5OTk5OTk5OTk5OQ=="]
)
def test_a_cursor_that_is_none(program: Program, cursor: str) -> None:
    """Or one that leads before the first record, which is a place too."""
    program.decide("alice")
    response = program.post(f"consents/history?cursor={cursor}", {"subject": {"openid": "alice"}})
    if cursor == "MSAx":
        assert response.json() == {"results": [], "next_cursor": None}
    else:
        problem(response, 422, "invalid_cursor")


def test_another_subjects_cursor_tells_nothing_of_it(program: Program) -> None:
    for openid in ("alice", "alice", "bob"):
        program.decide(openid)
    cursor = history(program, query="?limit=1")["next_cursor"]
    assert {record["record_id"] for record in history(program, "bob", f"?cursor={cursor}")["results"]} <= {
        record["record_id"] for record in history(program, "bob")["results"]
    }
