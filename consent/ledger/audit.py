"""Writes the record of officers' and jobs' actions, in the transaction of the action itself."""

from typing import Any

from consent.ledger.models import AuditEntry


def audit(*, program_id: int, actor: str, action: str, target: str, details: dict[str, Any] | None = None) -> None:
    """`target` names a request or a catalogue row, as `request:<id>`; never a subject. Details hold no personal data."""
    AuditEntry.objects.create(program_id=program_id, actor=actor, action=action, target=target, details=details or {})
