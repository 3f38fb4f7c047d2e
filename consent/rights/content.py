"""What a request asks and what shows who asked it: sealed with the subject's data key, so that it goes with the subject."""

import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from consent.rights.holders import Changes
from consent.rights.models import RequestSubject
from consent.vault.envelope import Cell, SubjectKey
from consent.vault.identities import open_json, seal_json


@dataclass(frozen=True)
class Content:
    """`verification` as the caller's backend sent it: its claim of how the requester was identified. `purposes` and
    `records`: what an objection is about, and the consent records that it made. `recipient`: whom a portability names. `check`: who
    made sure that a rectification is right, and how."""

    changes: Changes | None = None
    verification: dict[str, Any] | None = None
    purposes: Sequence[str] = ()
    records: Sequence[uuid.UUID] | None = None
    recipient: dict[str, Any] | None = None
    check: dict[str, Any] | None = None


def seal(
    content: Content, data_key: SubjectKey, *, program_id: int, subject_id: int, request_id: uuid.UUID
) -> bytes | None:
    """None where there is nothing to keep."""
    kept: dict[str, Any] = {"verification": content.verification} if content.verification is not None else {}
    if content.changes is not None:
        kept["changes"] = {
            "attributes": dict(content.changes.attributes),
            "identifiers": dict(content.changes.identifiers),
        }
    if content.purposes:
        kept["purposes"] = list(content.purposes)
    if content.records is not None:
        kept["records"] = [str(record_id) for record_id in content.records]
    if content.recipient is not None:
        kept["recipient"] = content.recipient
    if content.check is not None:
        kept["check"] = content.check
    return seal_json(data_key, kept, _cell(program_id, subject_id, request_id)) if kept else None


def opened(about: RequestSubject, data_key: SubjectKey) -> dict[str, Any]:
    """The content as JSON, for the subject's own package and for carrying it out. Raises DoesNotOpen."""
    if about.sealed is None:
        return {}
    cell = _cell(about.program_id, about.subject_id, about.request_id)
    found: dict[str, Any] = open_json(data_key, bytes(about.sealed), cell)
    return found


def add(about: RequestSubject, data_key: SubjectKey, **more: Any) -> None:
    """Keep more with what is kept. The caller holds the subject's row."""
    kept = opened(about, data_key) | more
    sealed = seal_json(data_key, kept, _cell(about.program_id, about.subject_id, about.request_id))
    RequestSubject.objects.filter(subject_id=about.subject_id, request_id=about.request_id).update(sealed=sealed)


def changes_of(about: RequestSubject, data_key: SubjectKey) -> Changes:
    found = opened(about, data_key).get("changes", {})
    return Changes(attributes=found.get("attributes", {}), identifiers=found.get("identifiers", {}))


def purposes_of(about: RequestSubject, data_key: SubjectKey) -> list[str]:
    """The codes of the purposes that an objection is about."""
    found: list[str] = opened(about, data_key).get("purposes", [])
    return found


def records_of(about: RequestSubject, data_key: SubjectKey) -> list[uuid.UUID]:
    """The records that an objection made."""
    return [uuid.UUID(record_id) for record_id in opened(about, data_key).get("records", [])]


def _cell(program_id: int, subject_id: int, request_id: uuid.UUID) -> Cell:
    return Cell(program_id, "request_subject", "sealed", str(request_id), subject_id)
