"""A fixed cast: a mini-program that callers use over HTTP."""

import itertools
import json
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from functools import cache
from pathlib import Path
from typing import Any

import msgspec
from django.test import Client

from consent.notices.actions import publish_notice
from consent.notices.document import Assessment, NoticeText
from consent.notices.linter import parse as parse_notice
from consent.programs.actions import create_program
from consent.programs.authentication import create_client
from consent.programs.models import SCOPES
from tracking.catalogue import Catalogue, import_catalogue
from tracking.catalogue import parse as parse_catalogue

EXAMPLES = Path(__file__).resolve().parent.parent / "docs" / "examples"
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


@cache
def _examples() -> tuple[NoticeText, Catalogue]:
    """What every mini-program is made with, read once."""
    return example_notice(), parse_catalogue((EXAMPLES / "catalogue.yaml").read_text())


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


def make_program(*, sandbox: bool = False, zone: str = "Asia/Shanghai") -> Program:
    """With the example notice, in force for a year, the starter catalogue, and a key with every scope."""
    number = next(_numbers)
    made = create_program(
        name=f"Shop {number}",
        controller="Example Retail Ltd",
        platform="wechat",
        app_id=f"wx{number:016d}",
        zone=zone,
        sandbox=sandbox,
    )
    text, catalogue = _examples()
    notice = publish_notice(
        program_id=made.pk,
        text=text,
        effective_at=now() - timedelta(days=500),
        lead=AT_ONCE,
        by="test",
        now=now(),
    )
    import_catalogue(program_id=made.pk, catalogue=catalogue, by="test", now=now())
    issued = create_client(program_id=made.pk, scopes=list(SCOPES), now=now(), valid_for=timedelta(days=1))
    return Program(made.pk, zone, issued.token, issued.client_id, notice.sha256)
