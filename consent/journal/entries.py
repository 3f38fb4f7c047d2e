"""A line of the journal: JSON, chained to the one before, so that a torn line and a missing one are told apart."""

import hashlib
import json
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any

BEGINNING = "0" * 32
"""The chain before the journal's first line."""


class Kind(StrEnum):
    """The first eight are of a subject. `committed`: the entry of this number came about; `mark`: the database had given this
    number out; `restored`: a replay began, and ids go on in this epoch."""

    WITHDRAWAL = "withdrawal"
    OBJECTION = "objection"
    RESTRICTION = "restriction"
    RESTRICTION_LIFTED = "restriction_lifted"
    ERASURE = "erasure"
    ERASURE_TAKEN_BACK = "erasure_taken_back"
    TOMBSTONE = "tombstone"
    COMMITTED = "committed"
    MARK = "mark"
    RESTORED = "restored"


CONFIRMING = (Kind.COMMITTED, Kind.MARK, Kind.RESTORED, Kind.RESTRICTION_LIFTED, Kind.ERASURE_TAKEN_BACK)
"""Written after a commit: the database has given their number out, and goes back behind it by a restore only."""


@dataclass(frozen=True)
class Entry:
    """`number`: the database's, rising; `handle`: SHA-256 of the subject's erasure handle, as hexadecimal text."""

    number: int
    at: datetime
    kind: Kind
    handle: str | None = None
    purposes: tuple[str, ...] = ()
    epoch: int | None = None


class Torn(Exception):
    """The line is not whole."""


def handle_hash(handle: bytes) -> str:
    return hashlib.sha256(handle).hexdigest()


def body_of(entry: Entry) -> str:
    """The entry as JSON, by which sinks tell it."""
    told: dict[str, Any] = {"number": entry.number, "at": entry.at.isoformat(), "kind": entry.kind.value}
    if entry.handle is not None:
        told["handle"] = entry.handle
    if entry.purposes:
        told["purposes"] = list(entry.purposes)
    if entry.epoch is not None:
        told["epoch"] = entry.epoch
    return json.dumps(told)


def chained(before: str, body: str) -> str:
    return hashlib.sha256(f"{before}{body}".encode()).hexdigest()[:32]


def line_of(body: str, chain: str) -> bytes:
    return f'{body[:-1]}, "chain": "{chain}"}}\n'.encode()


def parsed(line: bytes) -> tuple[Entry, str, str | None]:
    """The entry, its body and its chain; None of a line that another sink has kept. Raises Torn."""
    try:
        told = json.loads(line)
        chain = told.pop("chain", None)
        entry = Entry(
            number=int(told["number"]),
            at=datetime.fromisoformat(told["at"]),
            kind=Kind(told["kind"]),
            handle=told.get("handle"),
            purposes=tuple(told.get("purposes", ())),
            epoch=told.get("epoch"),
        )
    except (ValueError, KeyError, TypeError, AttributeError):
        raise Torn from None
    return entry, body_of(entry), chain
