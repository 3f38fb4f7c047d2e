"""Giving, refusing, deferring and withdrawing, as a backend does it."""

from datetime import timedelta
from typing import Any

import psycopg
import pytest

from tests.cast import Program, now


def status(program: Program, openid: str, purpose: str = "analytics") -> dict[str, Any]:
    response = program.post("consents/status", {"subject": {"openid": openid}, "purposes": [purpose]})
    assert response.status_code == 200, response.content
    (found,) = response.json()
    assert isinstance(found, dict)
    return found


def test_an_unknown_subject_is_answered_and_not_created(program: Program, owner: psycopg.Connection) -> None:
    assert status(program, "nobody") == {
        "purpose": "analytics",
        "state": "unknown",
        "allowed": False,
        "service_allowed": True,
        "may_prompt": True,
        "renewal_required": False,
        "expires_at": None,
        "notice": None,
    }
    assert owner.execute("SELECT count(*) FROM subject").fetchone() == (0,)


@pytest.mark.parametrize(
    ("decision", "state", "allowed", "may_prompt"),
    [
        ("given", "given", True, False),
        ("refused", "refused", False, False),
        ("deferred", "requested", False, True),
        ("withdrawn", "withdrawn", False, False),
    ],
)
def test_a_decision_is_recorded(program: Program, decision: str, state: str, allowed: bool, may_prompt: bool) -> None:
    answer = program.decide("alice", decision)
    assert [(r["purpose"], r["state"], r["receipt"]) for r in answer["records"]] == [("analytics", state, None)]
    found = status(program, "alice")
    assert (found["state"], found["allowed"], found["may_prompt"]) == (state, allowed, may_prompt)
    assert found["notice"] == program.notice
