"""A backend that is told by webhooks: a real HTTP server on loopback, and endpoints that lead to it."""

import base64
import hashlib
import hmac
import json
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from uuid import UUID

import psycopg

from consent import edge
from consent.webhooks import delivery, endpoints
from consent.webhooks.models import Event
from tests.cast import Program
from tests.consent.rights import Working

EVERY = list(Event.values)


@dataclass
class Receiver:
    """What came in, and how it answers: `status`, `headers`, after `wait` was set (it is, unless a test clears it)."""

    status: int = 204
    headers: dict[str, str] = field(default_factory=dict)
    requests: list[tuple[str, dict[str, str], bytes]] = field(default_factory=list)
    url: str = ""
    wait: threading.Event = field(default_factory=threading.Event)

    def payloads(self) -> list[Any]:
        return [json.loads(body) for _, _, body in self.requests]

    def told(self) -> list[str]:
        return [payload["type"] for payload in self.payloads()]


@contextmanager
def receiving(tls: ssl.SSLContext | None = None) -> Iterator[Receiver]:
    receiver = Receiver()
    receiver.wait.set()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(min(int(self.headers["content-length"]), 65_536))
            receiver.requests.append((self.path, {k.lower(): v for k, v in self.headers.items()}, body))
            receiver.wait.wait(20)
            self.send_response(receiver.status)
            for name, value in receiver.headers.items():
                self.send_header(name, value)
            self.send_header("content-length", "0")
            self.end_headers()

        def log_message(self, *_: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    if tls is not None:
        server.socket = tls.wrap_socket(server.socket, server_side=True)
    receiver.url = f"http://127.0.0.1:{server.server_address[1]}"
    thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
    thread.start()
    try:
        yield receiver
    finally:
        receiver.wait.set()
        server.shutdown()
        server.server_close()
        thread.join(5)


@dataclass(frozen=True)
class Told:
    """An endpoint of a mini-program, and its secret as its backend keeps it."""

    program: Program
    id: UUID
    secret: str


def endpoint(program: Program, url: str, *, events: list[str] = EVERY, acknowledges: bool = False) -> Told:
    made, secret = endpoints.add(
        vault=edge.vault(),
        program_id=program.id,
        url=url,
        events=events,
        acknowledges=acknowledges,
        plain=False,
        by="test",
    )
    return Told(program, made.id, secret)


def deliver(told: Told, as_worker: Working, *, private: bool = True) -> int:
    """What the worker does on a hint; answers how many messages were taken."""
    with as_worker():
        return delivery.deliver(
            vault=edge.vault(), program_id=told.program.id, endpoint_id=told.id, private=private, seconds=20
        )


def verified(secret: str, headers: dict[str, str], body: bytes) -> bool:
    """By the specification's words, with nothing of ours: any of the signatures is base64(HMAC-SHA256(id.timestamp.body))."""
    assert secret.startswith("whsec_")
    key = base64.b64decode(secret.removeprefix("whsec_"), validate=True)
    assert 24 <= len(key) <= 64
    content = b".".join([headers["webhook-id"].encode(), headers["webhook-timestamp"].encode(), body])
    wanted = "v1," + base64.b64encode(hmac.new(key, content, hashlib.sha256).digest()).decode()
    return wanted in headers["webhook-signature"].split(" ")


def later(owner: psycopg.Connection, interval: str = "2 days") -> None:
    """Let so much time be over, for whatever waits."""
    owner.execute("UPDATE webhook_message SET next_attempt_at = next_attempt_at - %s::interval", [interval])
    owner.execute("UPDATE webhook_endpoint SET not_before = not_before - %s::interval", [interval])


def messages(owner: psycopg.Connection, *columns: str) -> list[Any]:
    """In the order of their making; a single column's values by themselves."""
    rows = owner.execute(f"SELECT {', '.join(columns)} FROM webhook_message ORDER BY created_at, event").fetchall()
    return [row[0] if len(columns) == 1 else row for row in rows]
