"""Requests as a backend files them, and a worker that carries them out in the test's own process."""

import json
from collections.abc import Callable
from contextlib import AbstractContextManager
from datetime import timedelta
from typing import Any
from uuid import UUID

import psycopg

import config.celery  # noqa: F401 -- hints go to the tests' Redis, where nobody waits for them
from consent import edge
from consent.programs.tenancy import tenant
from consent.rights import fulfilment, packages
from consent.rights.models import Package
from tests.cast import Program, event, now

Working = Callable[[], AbstractContextManager[None]]
KEPT = timedelta(days=7)


def file(program: Program, kind: str, openid: str = "alice", **more: Any) -> Any:
    """File a request; 202 expected."""
    response = program.post("requests", {"subject": {"openid": openid}, "kind": kind, "locale": "zh-Hans"} | more)
    assert response.status_code == 202, response.content
    return response.json()


def problem(response: Any, status: int, code: str) -> Any:
    """The refusal's body, with this status and code."""
    assert response.status_code == status, response.content
    body = response.json()
    assert body["code"] == code, body
    return body


def ask(program: Program, kind: str, openid: str = "alice", **more: Any) -> Any:
    """File a request that may be refused."""
    return program.post("requests", {"subject": {"openid": openid}, "kind": kind, "locale": "en"} | more)


def shown(program: Program, filed: Any) -> Any:
    response = program.get(f"requests/{filed['request_id']}")
    assert response.status_code == 200, response.content
    return response.json()


def work(program: Program, filed: Any, *, lease: timedelta = timedelta(seconds=30)) -> None:
    """What the worker does on a hint. Call it as the worker."""
    fulfilment.fulfil(
        vault=edge.vault(),
        program_id=program.id,
        request_id=UUID(filed["request_id"]),
        package_kept=KEPT,
        lease=lease,
    )


def carry_out(program: Program, as_worker: Working, filed: Any) -> Any:
    """Have the worker do it, and answer how the request stands then."""
    with as_worker():
        work(program, filed)
    return shown(program, filed)


def package_of(program: Program, filed: Any) -> Any:
    """The package's document, opened."""
    with tenant(program.id):
        package = Package.objects.get(request_id=filed["request_id"])
    return json.loads(b"".join(packages.stream(edge.vault(), package)))


def sections(document: Any) -> dict[str, list[dict[str, Any]]]:
    """Section -> rows, over all holders."""
    return {name: rows for holder in document["holders"] for name, rows in holder["sections"].items()}


def subject_of(owner: psycopg.Connection, pseudonym: str) -> int:
    row = owner.execute("SELECT subject_id FROM subject WHERE pseudonym = %s", [pseudonym]).fetchone()
    assert row is not None
    return int(row[0])


def overdue(owner: psycopg.Connection) -> None:
    """Let every undo window and every pause be over."""
    owner.execute("UPDATE subject_request SET undo_until = received_at WHERE undo_until IS NOT NULL")
    owner.execute("UPDATE holder_run SET not_before = not_before - interval '2 days'")


def erased(program: Program, owner: psycopg.Connection, as_worker: Working, openid: str = "alice") -> Any:
    """Erase the subject now; answers how the request stands then."""
    filed = file(program, "erasure", openid)
    overdue(owner)
    return carry_out(program, as_worker, filed)


def lively(program: Program, openid: str = "alice", *, days: int = 3) -> str:
    """A subject with consents, a profile, evidence, and two events on each of some days; answers the pseudonym."""
    since = now() - timedelta(days=days)
    answer = program.decide(openid, occurred_at=since.isoformat(), evidence={"button_id": "agree"})
    program.decide(openid, purpose="personalisation")
    program.decide(openid, "refused", purpose="precise_location")
    profile = {"subject": {"openid": openid}, "attributes": {"nickname": "小艾", "city": "杭州"}}
    assert program.call("PUT", "profile", profile).status_code == 200
    for place in range(2 * days):
        at = now() - timedelta(hours=12 * place + 1)
        program.send(
            event(openid, f"{openid}-{place}", at, page="pages/index", properties={"referrer_page": "pages/home"})
        )
    return str(answer["subject_id"])
