"""I3, L16: what is said of a person is in no table, queue, log or file in plain, whatever went well or wrong.

Canaries go through every call of a real web server with a real worker; then everything the service writes is searched.
Behaviour that was consented to (pages, properties, session ids) is stored as it is; here it carries no canary but in
events that are refused.
"""

import base64
import contextlib
import os
import secrets
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from datetime import timedelta
from importlib import import_module
from pathlib import Path
from typing import Any

import httpx
import psycopg
import pytest
import redis

from consent.rights.review import set_review
from tests.cast import Program, event, from_root, now
from tests.conformance.search import Search
from tests.conformance.surface import CALLS
from tests.consent.desk import DECIDES, officer
from tests.consent.receiver import Receiver, endpoint, receiving
from tests.consent.rights import overdue
from tests.journeys.server import Server, serving
from tests.stack import ROOT

MARK = f"zqcanary{secrets.token_hex(3)}"
"""Anew for each run: the write-ahead log remembers."""
PHONE = f"+86139{secrets.randbelow(10**8):08d}"
"""No mark fits into a telephone number, so it is one itself: looked for without what stands before it."""
PATIENCE = 40.0


class Canaries:
    """Values that occur nowhere else, all with one mark in them."""

    def __init__(self) -> None:
        self.made = 0

    def __call__(self, what: str) -> str:
        self.made += 1
        return f"{MARK}{what}{self.made:04d}"


@pytest.fixture
def broker() -> redis.Redis:
    connected: redis.Redis = redis.Redis.from_url(os.environ["REDIS_URL"])
    connected.flushdb()
    return connected


@pytest.fixture
def server(database: None, tmp_path: Path) -> Iterator[Server]:
    with serving(tmp_path) as started:
        yield started


@contextlib.contextmanager
def working(folder: Path) -> Iterator[subprocess.Popen[bytes]]:
    """A Celery worker with its beat, killed at the end of the block."""
    command = [sys.executable, "-m", "celery", "-A", "config.celery", "worker", "-B", "-c", "1", "--loglevel", "DEBUG"]
    with (folder / "worker.log").open("ab") as log:
        process = subprocess.Popen(
            [*command, "--schedule", str(folder / "beat")],
            env={**os.environ, "ZHIQING_ROLE": "worker", "ZHIQING_SWEEP_SECONDS": "1", "ZHIQING_WEBHOOK_PRIVATE": "1"},
            cwd=ROOT,
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
    try:
        yield process
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait(10)


class Backend:
    """Calls over HTTP, as a mini-program's backend makes them."""

    def __init__(self, server: Server, program: Program) -> None:
        self.program = program
        self._http = httpx.Client(
            base_url=server.base_url, trust_env=False, timeout=20,
            headers={"Authorization": f"Bearer {program.key}"},
        )  # fmt: skip

    def call(self, method: str, path: str, body: Any = None, **more: Any) -> httpx.Response:
        return self._http.request(method, from_root(path), **({} if body is None else {"json": body}), **more)

    def known(self, canary: Canaries, openid: str) -> None:
        """A subject with consents, evidence and a profile."""
        for purpose in ("analytics", "personalisation"):
            body = {
                "subject": {"openid": openid}, "notice": self.program.notice, "locale": "en", "method": "dialog",
                "act": "single", "decisions": [{"purpose": purpose, "decision": "given"}],
                "evidence": {"button_id": canary("button"), "document": canary("document")},
            }  # fmt: skip
            assert self.call("POST", "consents", body, headers={"Idempotency-Key": canary("key")}).status_code == 201
        added = {"unionid": canary("unionid"), "phone": PHONE}
        assert self.call("POST", "identities", {"subject": {"openid": openid}, "add": added}).status_code == 200
        profile = {"subject": {"openid": openid}, "attributes": {"city": canary("city"), "nickname": canary("nick")}}
        assert self.call("PUT", "profile", profile).status_code == 200
        assert self.call("POST", "events", {"events": [event(openid, "e1", page="pages/index")]}).json()["stored"] == 1
        assert self.batch(*sent_by_a_library(canary, openid)) == {"success": True, "stored": 2, "refused": 0}

    def batch(self, *messages: Any) -> Any:
        """As Segment's libraries send them; what was answered, without the results."""
        key = {"writeKey": self.program.key}
        auth = httpx.BasicAuth(self.program.key, "")
        answer = self.call("POST", "/v1/batch", {"batch": messages, **key}, auth=auth).json()
        return {name: answer[name] for name in ("success", "stored", "refused")}

    def request(self, openid: str, kind: str, **more: Any) -> str:
        filed = self.call("POST", "requests", {"subject": {"openid": openid}, "kind": kind, "locale": "en"} | more)
        assert filed.status_code == 202, filed.text
        return str(filed.json()["request_id"])

    def ended(self, request_id: str) -> str:
        deadline = time.monotonic() + PATIENCE
        while time.monotonic() < deadline:
            state = str(self.call("GET", f"requests/{request_id}").json()["state"])
            if state in {"completed", "completed_no_data", "partially_completed", "failed", "rejected"}:
                return state
            time.sleep(0.2)
        raise AssertionError(f"the worker takes longer than {PATIENCE} s")


def sent_by_a_library(canary: Canaries, openid: str) -> list[Any]:
    """A page and an identification, with canaries wherever a library puts what is not asked for."""
    context = {
        "ip": canary("ip"), "library": {"name": canary("library")}, "traits": {"email": canary("email")},
        "page": {"url": f"https://{canary('host')}/x?{canary('query')}", "referrer": canary("referrer")},
        canary("context"): canary("value"),
    }  # fmt: skip
    common = {
        "anonymousId": openid,
        "timestamp": now().isoformat(),
        "context": context,
        canary("member"): canary("value"),
    }
    properties = {
        "url": f"https://{canary('host')}/pages/index?{canary('query')}", "title": canary("title"),
        "search": canary("search"), "referrer": canary("referrer"), "keywords": [canary("keyword")],
    }  # fmt: skip
    page = {"type": "page", "messageId": "m1", "name": canary("name"), "properties": properties}
    identified = {"type": "identify", "messageId": "m2", "userId": canary("user"), "traits": {"city": canary("city")}}
    return [common | page, common | identified]


def refused(backend: Backend, canary: Canaries, openid: str) -> None:
    """Everything that is refused, with canaries where values go."""
    old = now() - timedelta(days=30)
    for sent in (
        event(canary("nobody"), canary("id")),
        event(openid, canary("id"), name=canary("name")),
        event(openid, canary("id"), properties={canary("property"): canary("value")}),
        event(openid, canary("id"), page=f"pages/x?{canary('query')}"),
        event(openid, canary("id"), old, page=canary("page")),
        event(openid, canary("id"), context={canary("context"): canary("value")}),
        event(openid, canary("id"), session_id=canary("session"), dwell_ms=-1),
        {canary("field"): canary("value")},
    ):
        answer = backend.call("POST", "events", {"events": [sent]})
        assert answer.json()["stored"] == 0, answer.text
    for named in ({"phone": PHONE}, {"openid": canary("nobody")}):
        answer = backend.call("POST", "identities", {"subject": named, "add": {"phone": PHONE}})
        assert answer.status_code in (404, 422), answer.text
    unknown = {
        "type": "identify",
        "messageId": canary("id"),
        "userId": canary("user"),
        "traits": {canary("trait"): "x"},
    }
    mixed = {"type": "group", "messageId": canary("id"), "userId": openid, "groupId": canary("group")}
    assert backend.batch(unknown, mixed, *sent_by_a_library(canary, canary("nobody")))["refused"] == 4
    for call in CALLS:
        address = call.address(backend.program)
        backend.call(call.method, address, {canary("field"): {canary("field"): canary("value")}})
        backend.call(call.method, address, content=b'{"x": "' + canary("half").encode())
        backend.call(call.method, address, call.body and call.body(backend.program, canary("stranger")), headers={
            "Authorization": f"Bearer zq_{canary('key')}_{canary('secret')}"})  # fmt: skip
        backend.call(call.method, f"{canary('path')}/{address}?{canary('query')}={canary('value')}")
    for path in (f"notices/{canary('hash')}", f"requests/{canary('id')}", f"requests?cursor={canary('cursor')}",
                 f"notices/current?program={canary('program')}", f"reports/{canary('metric')}"):  # fmt: skip
        assert backend.call("GET", path).status_code >= 400


def failing(backend: Backend, canary: Canaries, owner: psycopg.Connection) -> int:
    """Calls that end in a 500 because a table is closed for the time; answers how many did."""
    failed = 0
    closed = ("subject_identifier", "consent_record", "event", "profile_attribute", "request_subject", "subject_lookup")
    for table in closed:
        owner.execute(f"REVOKE ALL ON {table} FROM zq_app, zq_ingest".encode())
    try:
        for call in CALLS:
            body = call.body(backend.program, canary("unlucky")) if call.body else None
            failed += backend.call(call.method, call.address(backend.program), body).status_code == 500
    finally:
        for table, granted in privileges().items():
            for grantee, allowed in granted:
                owner.execute(f"GRANT {allowed} ON {table} TO {grantee}".encode())
    return failed


def privileges() -> dict[str, list[tuple[str, str]]]:
    """What the migrations grant on the tables that `failing` closes."""
    consent = import_module("consent.migrations.0004_grants").APPLICATION
    tracking = import_module("tracking.migrations.0003_access")
    named = ("subject_identifier", "consent_record", "profile_attribute", "request_subject", "subject_lookup")
    found = {table: [("zq_app", consent[table])] for table in named}
    return found | {"event": [("zq_app", tracking.APPLICATION["event"]), ("zq_ingest", f"INSERT ({tracking.COPIED})")]}


def test_the_search_finds_what_is_there(
    owner: psycopg.Connection, program: Program, broker: redis.Redis, tmp_path: Path
) -> None:
    """A test of the test."""
    search = Search(f"zqsought{secrets.token_hex(3)}", owner, broker, tmp_path)
    assert search.everywhere() == []
    owner.execute("INSERT INTO page (program_id, path) VALUES (%s, %s)", [program.id, search.mark])
    broker.rpush("celery", f"message {search.mark}")
    (tmp_path / "some.log").write_text(f"said {search.mark}")
    assert search.in_database() == ["page.path"]
    assert search.in_redis() == ["b'celery'"]
    for shift in range(3):
        broker.flushdb()
        broker.hset("unacked", "1", base64.b64encode(b"x" * shift + f"args {search.mark}, more".encode()).decode())
        assert search.in_redis() == ["b'unacked'"], shift
    assert search.in_files() == [str(tmp_path / "some.log")]
    broker.flushdb()
    assert search.in_cluster() or not search.cluster()


@pytest.fixture
def told(program: Program) -> Iterator[Receiver]:
    """A backend that is told of everything, and acknowledges erasures."""
    with receiving() as receiver:
        endpoint(program, receiver.url, acknowledges=True)
        yield receiver


@pytest.mark.long
def test_no_canary_is_anywhere(
    server: Server, program: Program, other: Program, owner: psycopg.Connection, broker: redis.Redis, tmp_path: Path,
    told: Receiver,
) -> None:  # fmt: skip
    canary, search = Canaries(), Search(MARK, owner, broker, tmp_path)
    search_phone = Search(PHONE.removeprefix("+86"), owner, broker, tmp_path)
    openid = canary("openid")
    backend = Backend(server, program)
    backend.known(canary, openid)
    refused(backend, canary, openid)
    refused(Backend(server, other), canary, openid)
    assert failing(backend, canary, owner) >= 5
    # Queued while no worker takes it: the messages are in Redis.
    access = backend.request(openid, "access", verification={"method": canary("method"), "at": now().isoformat()})
    assert broker.dbsize()
    assert search.everywhere() == []
    assert search_phone.everywhere() == []
    with working(tmp_path):
        assert backend.ended(access) == "completed"
        changes = {"attributes": {"city": canary("city")}, "identifiers": {"external_id": canary("external")}}
        assert backend.ended(backend.request(openid, "rectification", changes=changes)) == "completed"
        assert search.everywhere() == []
    rejected(backend, canary, openid)
    assert search.everywhere() == []
    crashed(backend, canary, owner, server, tmp_path, openid)
    assert search.everywhere() == []
    assert search_phone.everywhere() == []
    assert {"consent.changed", "request.updated", "subject.rectified", "subject.erased"} <= set(told.told())
    assert not any(canary in repr(told.requests) for canary in (MARK, PHONE.removeprefix("+86")))


def rejected(backend: Backend, canary: Canaries, openid: str) -> None:
    """An officer's words to the person: refused for their length, then taken, read by the backend and on the page."""
    program = backend.program
    desk = officer("grace", program, may=DECIDES).enter(program)
    set_review(program_id=program.id, kind="erasure", on=True, by="test")
    request_id = backend.request(openid, "erasure")
    set_review(program_id=program.id, kind="erasure", on=False, by="test")
    address, words = f"consent/subjectrequest/{request_id}/reject/", canary("words")
    assert desk.post(address, reason="retention_required", text=words * 1000).status_code == 200
    assert desk.post(address, reason="identity_not_verified", text=words).status_code == 302
    assert words in backend.call("GET", f"requests/{request_id}").json()["rejection"]["text"]


def crashed(
    backend: Backend, canary: Canaries, owner: psycopg.Connection, server: Server, tmp_path: Path, openid: str
) -> None:
    """The worker is killed in the middle of an erasure, and the web server in the middle of a call."""
    erasure = backend.request(openid, "erasure")
    with psycopg.connect(os.environ["DATABASE_OWNER_URL"]) as holding:
        holding.execute("SELECT FROM profile_attribute FOR UPDATE")
        overdue(owner)
        with working(tmp_path):
            waiting(owner)
    with psycopg.connect(os.environ["DATABASE_OWNER_URL"]) as holding:
        holding.execute("LOCK TABLE consent_record IN ACCESS EXCLUSIVE MODE")
        hurried = httpx.Timeout(1.0)
        body = next(call for call in CALLS if call.name == "record_consents").body
        assert body is not None
        with contextlib.suppress(httpx.TransportError):
            backend.call("POST", "consents", body(backend.program, canary("hanging")), timeout=hurried)
        server.kill()
    server.start()
    owner.execute("UPDATE holder_run SET lease_until = now() WHERE lease_until IS NOT NULL")
    with working(tmp_path):
        assert backend.ended(erasure) == "completed"


def waiting(owner: psycopg.Connection) -> None:
    deadline = time.monotonic() + PATIENCE
    while not owner.execute("SELECT 1 FROM pg_locks WHERE NOT granted").fetchone():
        assert time.monotonic() < deadline, "the erasure never came to the table that is held"
        time.sleep(0.1)
