"""A fixed cast: a mini-program that callers use over HTTP."""

import itertools
import json
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from functools import cache
from pathlib import Path
from typing import Any

import msgspec
from django.db import transaction
from django.test import Client

from consent.notices.actions import publish_notice
from consent.notices.document import Assessment, NoticeText, published
from consent.notices.linter import parse as parse_notice
from consent.notices.models import Notice
from consent.programs.actions import create_program
from consent.programs.authentication import create_client
from consent.programs.models import SCOPES, Controller, MiniProgram
from consent.programs.tenancy import tenant
from tests.copies import Rows, copy, rows
from tracking.catalogue import import_catalogue
from tracking.catalogue import parse as parse_catalogue

EXAMPLES = Path(__file__).resolve().parent.parent / "docs" / "examples"
CONTROLLER = "Example Retail Ltd"
PLATFORM = "wechat"
_numbers = itertools.count(1)
AT_ONCE = timedelta(0)
"""The lead of a notice that takes effect when it is published: no batch is in flight here."""


def now() -> datetime:
    return datetime.now(UTC)


@dataclass
class Program:
    """A mini-program's backend: its key, and calls as it makes them."""

    id: int
    zone: str
    key: str
    client_id: int
    notice: str

    def call(self, method: str, path: str, body: Any = None, **headers: str) -> Any:
        """`path` below /api/v1/, or from the root; the body as JSON."""
        headers = {"Authorization": f"Bearer {self.key}"} | {k.replace("_", "-"): v for k, v in headers.items()}
        data = b"" if body is None else json.dumps(body).encode()
        return Client(raise_request_exception=False, headers=headers).generic(
            method, from_root(path), data, content_type="application/json" if body is not None else ""
        )

    def post(self, path: str, body: Any, **headers: str) -> Any:
        return self.call("POST", path, body, **headers)

    def get(self, path: str, **headers: str) -> Any:
        return self.call("GET", path, **headers)

    def decide(self, openid: str, decision: str = "given", purpose: str = "analytics", **more: Any) -> Any:
        """One decision of a subject; 201 expected."""
        body = {
            "subject": {"openid": openid},
            "notice": self.notice,
            "locale": "zh-Hans",
            "method": "dialog",
            "act": "single",
            "decisions": [{"purpose": purpose, "decision": decision}],
        } | more
        response = self.post("consents", body)
        assert response.status_code == 201, response.content
        return response.json()

    def send(self, *events: dict[str, Any], **more: Any) -> Any:
        """A batch; 200 expected."""
        response = self.post("events", {"events": list(events)} | more)
        assert response.status_code == 200, response.content
        return response.json()

    def key_with(self, *scopes: str) -> str:
        issued = create_client(program_id=self.id, scopes=list(scopes), now=now(), valid_for=timedelta(days=1))
        return issued.token


def from_root(path: str) -> str:
    """The path of a call, named below /api/v1/ unless it begins at the root."""
    return path if path.startswith("/") else f"/api/v1/{path}"


def event(
    openid: str, event_id: str, at: datetime | None = None, name: str = "page_view", **more: Any
) -> dict[str, Any]:
    """An event of now, or of `at`."""
    moment = (at or now()).isoformat()
    return {"event_id": event_id, "name": name, "subject": {"openid": openid}, "occurred_at": moment} | more


def example_notice() -> NoticeText:
    return parse_notice((EXAMPLES / "notice.yaml").read_text())


def for_minors(text: NoticeText) -> NoticeText:
    """The same for minors and their guardians: all that is collected of them is sensitive, and assessed as such."""
    purposes = [
        msgspec.structs.replace(
            purpose,
            necessity=purpose.description,
            impact=purpose.description,
            assessment=purpose.assessment
            or Assessment(reference=f"PIA {purpose.code}", assessed_on=date(2026, 1, 1), conclusion="acceptable"),
        )
        for purpose in text.purposes
    ]
    return msgspec.structs.replace(text, audience="minor", purposes=purposes)


def make_program(*, sandbox: bool = False, zone: str = "Asia/Shanghai", suite: str = "aes") -> Program:
    """With the example notice, in force for a year, the starter catalogue, and a key with every scope.

    Notice and catalogue are copied under new ids: what a process remembers of a mini-program, it remembers by id.
    """
    first, number = original(), next(_numbers)
    app_id = f"wx{number:016d}"
    controller, _ = Controller.objects.get_or_create(name=CONTROLLER)
    made = MiniProgram.objects.create(
        controller=controller,
        name=f"Shop {number}",
        platform=PLATFORM,
        app_id=app_id,
        zone=zone,
        sandbox=sandbox,
        suite=suite,
    )
    _, sha256 = published(first.text, program=f"{PLATFORM}:{app_id}", version=1, effective_at=first.effective_at)
    copy(first.rows, program_id=made.pk, now=now(), instead={first.app_id: app_id, first.sha256: sha256})
    issued = create_client(program_id=made.pk, scopes=list(SCOPES), now=now(), valid_for=timedelta(days=1))
    return Program(made.pk, zone, issued.token, issued.client_id, sha256)


@dataclass(frozen=True)
class Original:
    """What a mini-program has that was just made, and the words in it that are its own."""

    rows: Rows
    text: NoticeText
    effective_at: str
    app_id: str
    sha256: str


@cache
def original() -> Original:
    """Nothing of it stays in the database."""
    app_id, text = "wx-the-original", example_notice()
    with transaction.atomic():
        notice = by_commands(app_id, text)
        with tenant(notice.program_id):
            found = rows()
        transaction.set_rollback(True)
    return Original(found, text, notice.effective_at.isoformat(), app_id, notice.sha256)


def by_commands(app_id: str, text: NoticeText) -> Notice:
    """A mini-program without a key, as the service's own commands make it."""
    made = create_program(
        name="Shop", controller=CONTROLLER, platform=PLATFORM, app_id=app_id, zone="Asia/Shanghai", sandbox=False
    )
    effective = now() - timedelta(days=500)
    notice = publish_notice(program_id=made.pk, text=text, effective_at=effective, lead=AT_ONCE, by="test", now=now())
    catalogue = parse_catalogue((EXAMPLES / "catalogue.yaml").read_text())
    import_catalogue(program_id=made.pk, catalogue=catalogue, by="test", now=now())
    return notice
