"""Segment's messages as its libraries make them, and calls that send them."""

import base64
import json
import uuid
from typing import Any

import psycopg
from django.test import Client

from tests.cast import Program, now

STORED = ("stored", None)
PERSONALISATION = "personalisation"

LIBRARY: dict[str, Any] = {
    "library": {"name": "analytics-python", "version": "2.4.0"},
    "ip": "203.0.113.7",
    "userAgent": "Mozilla/5.0",
    "locale": "zh-CN",
    "timezone": "Asia/Shanghai",
    "device": {"id": "B5372DB0-C21E-11E4-8DFC-AA07A5B093DB", "advertisingId": "7A3CBEA0"},
    "location": {"city": "杭州"},
    "traits": {"email": "ann@example.com"},
}
"""What a message's `context` may hold that nobody asked for."""


def message(kind: str, **more: Any) -> dict[str, Any]:
    """Of anonymousId alice, now; a member given as None is left out."""
    common = {
        "type": kind,
        "messageId": str(uuid.uuid4()),
        "anonymousId": "alice",
        "timestamp": now().isoformat(),
        "context": LIBRARY,
        "integrations": {},
        "channel": "server",
        "receivedAt": now().isoformat(),
        "originalTimestamp": now().isoformat(),
        "_metadata": {"nodeVersion": "20"},
    }
    return {name: value for name, value in (common | more).items() if value is not None}


def track(event: str = "page_view", **more: Any) -> dict[str, Any]:
    return message("track", event=event, **more)


def basic(key: str, password: str = "") -> str:
    return "Basic " + base64.b64encode(f"{key}:{password}".encode()).decode()


def post(program: Program, body: Any, **headers: str) -> Any:
    """The answer to a body, which is bytes or goes as JSON."""
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    sent = {"Authorization": basic(program.key)} | {name.replace("_", "-"): value for name, value in headers.items()}
    return Client(raise_request_exception=False, headers=sent).generic(
        "POST", "/v1/batch", data, content_type="application/json"
    )


def send(program: Program, *messages: Any, **more: Any) -> Any:
    """A batch as the libraries send it; 200 expected."""
    body = {"batch": list(messages), "sentAt": now().isoformat(), "writeKey": program.key} | more
    response = post(program, body)
    assert response.status_code == 200, response.content
    return response.json()


def told(answer: Any) -> list[tuple[str, str | None]]:
    return [(result["result"], result.get("code")) for result in answer["results"]]


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
