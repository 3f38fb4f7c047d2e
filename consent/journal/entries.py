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
    """The first seven are of a subject, the next three of who reaches the service: an API client whose keys were ended, a staff
    account and what it was left with, or had when it was given more. `committed`: the entry of this number came about; `mark`: the database had given this
    number out; `restored`: a replay began, and ids go on in this epoch."""

    WITHDRAWAL = "withdrawal"
    OBJECTION = "objection"
    RESTRICTION = "restriction"
    RESTRICTION_LIFTED = "restriction_lifted"
    ERASURE = "erasure"
    ERASURE_TAKEN_BACK = "erasure_taken_back"
    TOMBSTONE = "tombstone"
    CLIENT_REVOKED = "client_revoked"
    ACCOUNT_NARROWED = "account_narrowed"
    ACCOUNT_WIDENED = "account_widened"
    COMMITTED = "committed"
    MARK = "mark"
    RESTORED = "restored"


CONFIRMING = (
    Kind.COMMITTED,
    Kind.MARK,
    Kind.RESTORED,
    Kind.RESTRICTION_LIFTED,
    Kind.ERASURE_TAKEN_BACK,
    Kind.ACCOUNT_WIDENED,
)
"""Written after a commit: the database has given their number out, and goes back behind it by a restore only."""


@dataclass(frozen=True)
class Entry:
    """`number`: the database's, rising; `handle`: SHA-256 of the subject's erasure handle, as hexadecimal text; `client` is an API
    client of `program`; `may` and `ends` are the account's, as consent.officers.access has them. Those two are told by number.
    `writer`: the folder that it was written to; `beside`: the others that the database knew of."""

    number: int
    at: datetime
    kind: Kind
    handle: str | None = None
    purposes: tuple[str, ...] = ()
    epoch: int | None = None
    program: int | None = None
    client: int | None = None
    account: int | None = None
    may: tuple[str, ...] = ()
    ends: datetime | None = None
    writer: str | None = None
    beside: tuple[str, ...] = ()


_REST = ("handle", "epoch", "program", "client", "account", "writer")
_LISTS = ("purposes", "may", "beside")


class Torn(Exception):
    """The line is not whole."""


def handle_hash(handle: bytes) -> str:
    return hashlib.sha256(handle).hexdigest()


def body_of(entry: Entry) -> str:
    """The entry as JSON, by which sinks tell it."""
    told: dict[str, Any] = {"number": entry.number, "at": entry.at.isoformat(), "kind": entry.kind.value}
    rest = {name: getattr(entry, name) for name in _REST}
    rest |= {name: list(getattr(entry, name)) for name in _LISTS}
    rest["ends"] = None if entry.ends is None else entry.ends.isoformat()
    return json.dumps(told | {name: value for name, value in rest.items() if value not in (None, [])})


def chained(before: str, body: str) -> str:
    return hashlib.sha256(f"{before}{body}".encode()).hexdigest()[:32]


def line_of(body: str, chain: str) -> bytes:
    return f'{body[:-1]}, "chain": "{chain}"}}\n'.encode()


def parsed(line: bytes) -> tuple[Entry, str, str | None]:
    """The entry, its body and its chain; None of a line that another sink has kept. Raises Torn."""
    try:
        told = json.loads(line)
        chain = told.pop("chain", None)
        rest: dict[str, Any] = {name: told.get(name) for name in _REST}
        rest |= {name: tuple(told.get(name, ())) for name in _LISTS}
        entry = Entry(
            number=int(told["number"]),
            at=datetime.fromisoformat(told["at"]),
            kind=Kind(told["kind"]),
            ends=None if told.get("ends") is None else datetime.fromisoformat(told["ends"]),
            **rest,
        )
    except (ValueError, KeyError, TypeError, AttributeError):
        raise Torn from None
    return entry, body_of(entry), chain
