"""L1 (PIPL 13, 14): without an informed, voluntary, explicit consent nothing is stored, and of what is refused nothing."""

import logging
import os
from pathlib import Path

import psycopg
import pytest
import redis

from tests.cast import Program, event
from tests.conformance.search import Search
from tests.consent.acts import code

MARK = "LawCanaryQx7Zt"


@pytest.mark.parametrize("decision", [None, "refused", "deferred", "withdrawn"])
def test_what_was_not_consented_to_is_refused_and_stored_nowhere(
    program: Program,
    owner: psycopg.Connection,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
    decision: str | None,
) -> None:
    if decision is not None:
        program.decide("alice")
        program.decide("alice", decision)
    with caplog.at_level(logging.DEBUG):
        sent = event("alice", f"{MARK}-1", name="tap", page=f"pages/{MARK}", properties={"element": MARK})
        stored = decision == "deferred"
        assert program.send(sent)["stored"] == stored, "'not now' changes no grant"
    broker = redis.Redis.from_url(os.environ["REDIS_URL"])
    search = Search(MARK, owner, broker, tmp_path)
    assert search.in_redis() == []
    assert bool(search.in_database()) == stored
    assert MARK not in caplog.text


def test_a_consent_names_the_notice_that_informed_and_how_it_was_given(program: Program) -> None:
    subject, decisions = {"openid": "alice"}, [{"purpose": "analytics", "decision": "given"}]
    response = program.post("consents", {"subject": subject, "decisions": decisions})
    assert response.status_code == 422
    assert {fault["pointer"] for fault in response.json()["errors"]} == {"/notice", "/locale", "/method", "/act"}
    assert code(program, "e1") == "consent_missing"
