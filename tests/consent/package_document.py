"""The document of a package as docs/package.md tells it: what a reader may rely on, field by field, and nothing else.

docs/examples/package.schema.json is made of it: `python -m tests.consent.package_document` writes it anew.
"""

import json
from datetime import date, datetime
from pathlib import Path
from typing import Any, Literal
from uuid import UUID

import msgspec

SCHEMA = Path(__file__).resolve().parents[2] / "docs" / "examples" / "package.schema.json"


class _Whole(msgspec.Struct, forbid_unknown_fields=True, kw_only=True):
    """Every field is always there."""


class Event(_Whole):
    event_id: str
    name: str | None
    record_id: UUID | None
    session_id: str | None
    page: str | None
    occurred_at: datetime
    corrected_at: datetime
    received_at: datetime
    dwell_ms: int | None
    scene: str | None
    context: dict[str, Any] | None
    properties: dict[str, Any] | None


class CountedDay(_Whole):
    """In whose totals the person is: by names of events, and of visits."""

    day: date
    events: list[str]
    session: bool


class Attribute(_Whole):
    name: str
    value: str
    purpose: str
    updated_at: datetime


class State(_Whole):
    """`told`: what the notice says of the purpose, by language."""

    purpose: str
    state: str
    notice: str | None
    told: dict[str, Any] | None
    grant_from: datetime | None
    grant_until: datetime | None
    barrier_at: datetime | None
    asked_at: datetime | None
    restricted: bool
    erasure_pending: bool
    guardian_pending: bool
    renewal_required: bool


class Record(_Whole):
    record_id: UUID
    purpose: str
    notice: str | None
    version: int
    state: str
    act: str | None
    method: str | None
    locale: str | None
    age_band: str
    turns_14_on: date | None
    occurred_at: datetime
    corrected_at: datetime
    received_at: datetime
    authorises_from: datetime | None
    authorises_until: datetime | None
    answered: str | None
    evidence: Any


class Erasure(_Whole):
    purpose: str
    asked_at: datetime
    kept_days: int | None
    owed_from: datetime
    affected: int
    done_at: datetime | None


class Check(_Whole):
    by: str
    how: Literal["caller", "review"]
    at: datetime


class Rectified(_Whole):
    of: Literal["attributes", "identifiers"]
    name: str
    before: str | None
    after: str | None


class Verified(_Whole):
    method: str
    reference: str
    at: datetime


class Request(_Whole):
    request_id: UUID
    kind: str
    state: str
    requester: str
    locale: str
    received_at: datetime
    due_at: datetime
    undo_until: datetime | None
    closed_at: datetime | None
    point_of_no_return_at: datetime | None
    extended_from: datetime | None
    extension: str | None
    reviewed: bool
    unmet: list[str] | None
    check: Check | None
    rectified: list[Rectified] | None
    asked: dict[str, Any]
    rejection: dict[str, Any] | None
    verified: Verified | None


class Made(_Whole):
    request_id: UUID
    created_at: datetime
    expires_at: datetime


class Subject(_Whole):
    subject_id: UUID
    created_at: datetime
    restricted: bool
    erasure_pending: bool
    under_14: bool
    turns_14_on: date | None


class Identifier(_Whole):
    kind: Literal["openid", "unionid", "external_id", "phone"]
    value: str
    since: datetime


class Hold(_Whole):
    """What a law keeps although the person asked to be erased, until the end of a day."""

    holder: str
    ground: str
    law: str
    until: date


class NoticeInForce(_Whole):
    notice: str
    version: int
    effective_at: datetime
    controller: str
    contact: str
    rights: dict[str, str | None]
    withdrawal: dict[str, str | None]


class Rule(_Whole):
    purpose: str
    state: str
    recorded: bool
    in_words: dict[str, str]
    necessary: bool
    separate_consent: str | None
    grant_from: datetime | None
    grant_until: datetime | None
    notice: str | None
    version: int | None
    told: dict[str, Any] | None


class Sections(msgspec.Struct, forbid_unknown_fields=True):
    """A section that has no row is left out."""

    counted_days: list[CountedDay] = []
    events: list[Event] = []
    attributes: list[Attribute] = []
    states: list[State] = []
    records: list[Record] = []
    erasures: list[Erasure] = []
    requests: list[Request] = []
    packages: list[Made] = []
    subject: list[Subject] = []
    identifiers: list[Identifier] = []
    holds: list[Hold] = []
    notice_in_force: list[NoticeInForce] = []
    rules: list[Rule] = []


class Holder(_Whole):
    """`title` and `description`: in the language of the request."""

    holder: str
    title: str
    description: str
    sections: Sections


class Document(_Whole):
    format: Literal["zhiqing.package/1"]
    request_id: UUID
    kind: Literal["access", "copy", "portability", "explanation"]
    received_at: datetime
    prepared_at: datetime
    subject_id: UUID
    holders: list[Holder]


def schema() -> str:
    """JSON Schema 2020-12, as the file has it."""
    told = {"$schema": "https://json-schema.org/draft/2020-12/schema", **msgspec.json.schema(Document)}
    return json.dumps(told, indent=2, ensure_ascii=False) + "\n"


if __name__ == "__main__":
    SCHEMA.write_text(schema())
