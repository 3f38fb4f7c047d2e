"""Calls about consents, shared by the tests of them."""

import time
from datetime import datetime
from typing import Any

import psycopg
from django.db import connection

from consent.notices.actions import publish_notice
from tests.cast import AT_ONCE, Program, event, example_notice, for_minors, now


def status(program: Program, openid: str, purpose: str = "analytics") -> dict[str, Any]:
    response = program.post("consents/status", {"subject": {"openid": openid}, "purposes": [purpose]})
    assert response.status_code == 200, response.content
    (found,) = response.json()
    assert isinstance(found, dict)
    return found


def act(program: Program, *decisions: tuple[str, str], **more: Any) -> dict[str, Any]:
    return {
        "subject": {"openid": "alice"},
        "notice": program.notice,
        "locale": "zh-Hans",
        "method": "dialog",
        "act": "single",
        "decisions": [{"purpose": purpose, "decision": decision} for purpose, decision in decisions],
    } | more


def refused(program: Program, body: dict[str, Any], status: int, code: str, pointer: str | None = None) -> None:
    response = program.post("consents", body)
    problem = response.json()
    assert (response.status_code, problem["code"]) == (status, code), problem
    assert response["Content-Type"] == "application/problem+json"
    if pointer is not None:
        assert [error["pointer"] for error in problem["errors"]] == [pointer]


GUARDIAN = {"reference": "g-1", "verified_by": "officer", "verified_at": "2026-01-01T00:00:00Z"}


def minors_notice(program: Program, *, effective_at: datetime | None = None) -> str:
    """The example notice for minors and their guardians, in force from now on; its sha256."""
    text = for_minors(example_notice())
    made = publish_notice(
        program_id=program.id, text=text, effective_at=effective_at, lead=AT_ONCE, by="test", now=now()
    )
    return str(made.sha256)


def guarded(notice: str, **more: Any) -> dict[str, Any]:
    """What the act of a guardian for a child says beside the decision."""
    return {"notice": notice, "age_band": "under_14", "guardian": GUARDIAN} | more


def code(program: Program, event_id: str, **more: Any) -> str | None:
    found: str | None = program.send(event("alice", event_id, **more))["results"][0].get("code")
    return found


def post_and_close(program: Program, body: dict[str, Any], key: str | None = None) -> Any:
    try:
        return program.post("consents", body, **({"Idempotency_Key": key} if key else {}))
    finally:
        connection.close()


def wait_for_a_waiter(owner: psycopg.Connection) -> None:
    """Until some transaction waits for a lock; fails after 10 seconds."""
    deadline = time.monotonic() + 10
    while owner.execute("SELECT FROM pg_locks WHERE NOT granted").fetchone() is None:
        assert time.monotonic() < deadline, "nobody waits for a lock"
        time.sleep(0.01)
