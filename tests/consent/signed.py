"""Receipts as their holders read them: with their own eyes on the JWS, and with keyrings of the test's own."""

import base64
import json
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Any

from django.conf import settings

from consent.vault import keyring
from consent.vault.store import FileStore
from tests.cast import Program


def decoded(part: str) -> bytes:
    return base64.urlsafe_b64decode(part + "=" * (-len(part) % 4))


def encoded(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def header(receipt: str) -> Any:
    return json.loads(decoded(receipt.split(".")[0]))


def said(receipt: str) -> Any:
    return json.loads(decoded(receipt.split(".")[1]))


def given(program: Program, openid: str = "alice", decision: str = "given", **more: Any) -> str:
    """The receipt of one decision."""
    receipt = program.decide(openid, decision, **more)["records"][0]["receipt"]
    assert isinstance(receipt, str)
    return receipt


def jwks(program: Program) -> Any:
    return program.get("/.well-known/jwks.json").json()


class Ring:
    """A keyring of the test's own, used by the service from `use` on."""

    def __init__(self, path: Path) -> None:
        self.path = path
        keyring.create(FileStore(path))
        self.use()

    def use(self) -> None:
        settings.ZHIQING_KEYRING_FILE = self.path

    def rotate(self, since: datetime) -> str:
        kid = keyring.add_signing_key(FileStore(self.path), since=since).kid
        self.use()
        return kid

    def change(self, change: Callable[[Any], Any]) -> None:
        """As an operator does with an editor."""
        content = json.loads(self.path.read_text())
        change(content)
        self.path.write_text(json.dumps(content))
        self.use()

    def destroy(self, place: int) -> None:
        def destroyed(content: Any) -> None:
            entry = content["signing"]["keys"][place]
            entry["status"] = "destroyed"
            del entry["key"]

        self.change(destroyed)
