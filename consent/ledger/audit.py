"""Writes the record of officers' and jobs' actions, in the transaction of the action itself."""

from datetime import datetime
from typing import Any

from consent.ledger.models import AuditEntry

OFFICER = "officer:"
"""How an actor who is an officer begins; their account's number follows."""


def audit(
    *,
    program_id: int,
    actor: str,
    action: str,
    target: str,
    details: dict[str, Any] | None = None,
    at: datetime | None = None,
) -> None:
    """`target` names a request or a catalogue row, as `request:<id>`; never a subject. Details hold no personal data.

    `at`: where the exact time would say too much; the database's clock by default. Entries are never changed later.
    """
    entry = AuditEntry(program_id=program_id, actor=actor, action=action, target=target, details=details or {})
    if at is not None:
        entry.at = at
    entry.save(force_insert=True)
