"""With PostgreSQL away a caller is told to come back, not that the service is broken."""

from collections.abc import Iterator
from typing import Any

import pytest
from django.db import InterfaceError, connection
from django.test import Client

from tests.cast import Program, event

SUBJECT = {"openid": "alice"}
CALLS: list[tuple[str, str, Any]] = [
    ("POST", "events", {"events": [event("alice", "1")]}),
    ("POST", "consents", {"subject": SUBJECT, "decisions": [{"purpose": "analytics", "decision": "withdrawn"}]}),
    ("POST", "consents/status", {"subject": SUBJECT}),
    ("PUT", "profile", {"subject": SUBJECT, "attributes": {"city": "苏州"}}),
    ("POST", "requests", {"subject": SUBJECT, "kind": "erasure", "locale": "en"}),
]


@pytest.fixture
def away(program: Program) -> Iterator[Program]:
    """Nobody listens where PostgreSQL was."""
    before = connection.settings_dict["PORT"]
    connection.close()
    connection.settings_dict["PORT"] = "1"
    yield program
    connection.settings_dict["PORT"] = before


@pytest.mark.parametrize(("method", "path", "body"), CALLS, ids=lambda value: value if isinstance(value, str) else "")
def test_a_call_may_be_sent_again(away: Program, method: str, path: str, body: Any) -> None:
    response = away.call(method, path, body)
    assert (response.status_code, response["Content-Type"]) == (503, "application/problem+json"), response.content
    assert (response.json()["code"], response["Retry-After"]) == ("database_away", "1")


def test_the_service_is_alive_and_not_ready(away: Program) -> None:
    assert Client().get("/healthz").status_code == 200
    response = Client().get("/readyz")
    checks = response.json()["checks"]
    assert (response.status_code, checks["database"], checks["migrations"], checks["broker"]) == (
        503,
        False,
        False,
        True,
    )


def test_a_connection_that_broke_is_no_error_of_the_probe(database: None, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: object) -> None:
        raise InterfaceError("the connection is closed")

    monkeypatch.setattr(connection, "cursor", broken)
    assert Client().get("/readyz").status_code == 503
