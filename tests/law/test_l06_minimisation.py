"""L6 (PIPL 6): nothing but what was declared, no identifier where none is declared, nothing for longer than was told."""

from datetime import timedelta
from typing import Any

import psycopg
import pytest

from consent.rights.tasks import purge
from tests.cast import Program, event, now
from tests.consent.rights import Working


def result(program: Program, **more: Any) -> tuple[str, str | None]:
    (found,) = program.send(event("alice", "e1", name="tap", **more))["results"]
    return found["result"], found.get("code")


def test_an_undeclared_property_is_refused(program: Program) -> None:
    program.decide("alice")
    assert result(program, properties={"element": "buy", "mood": "good"}) == ("refused", "undeclared_property")
    assert result(program, properties={"element": "buy"}) == ("stored", None)


@pytest.mark.parametrize(
    "identifier",
    ["13812345678", "11010519491231002X", "someone@example.com", "6222021234567890128", "oUpF8uMuAJO_M2pxb1Q9zNjWeS6o"],
    ids=["mobile", "identity-number", "e-mail", "bank-card", "openid"],
)
def test_what_looks_like_a_direct_identifier_is_refused(program: Program, identifier: str) -> None:
    program.decide("alice")
    assert result(program, properties={"element": identifier}) == ("refused", "identifier_in_property")


def test_nothing_outlives_the_retention_that_was_told(
    program: Program, owner: psycopg.Connection, as_worker: Working
) -> None:
    """The example notice tells 365 days."""
    program.decide("alice", occurred_at=(now() - timedelta(days=390)).isoformat(), method="import")
    answer = program.send(
        event("alice", "old", now() - timedelta(days=367)),
        event("alice", "young", now() - timedelta(days=300)),
        historical=True,
    )
    assert [r.get("code") for r in answer["results"]] == ["too_old", None]
    owner.execute("UPDATE notice_purpose SET retention_days = 30")
    with as_worker():
        purge()
    assert owner.execute("SELECT count(*) FROM event").fetchone() == (0,)
