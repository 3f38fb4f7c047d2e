"""Writes the record of officers' and jobs' actions, in the transaction of the action itself."""

from datetime import datetime
from typing import Any

from django.db import connection

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
) -> int:
    """Answers the entry's number. `target` names a request or a catalogue row, as `request:<id>`; never a subject. Details hold no personal data.

    `at`: where the exact time would say too much; the database's clock by default. Entries are never changed later.
    """
    entry = AuditEntry(program_id=program_id, actor=actor, action=action, target=target, details=details or {})
    if at is not None:
        entry.at = at
    entry.save(force_insert=True)
    return entry.pk


def counted(*, program_id: int, actor: str, action: str, since: datetime) -> list[datetime]:
    """When the actor did it since then, oldest first. Until the transaction ends no other asks the same of the actor, so
    that of two at once the second sees the first.
    """
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_xact_lock(hashtextextended(%s, %s))", [f"{action} {actor}", program_id])
    entries = AuditEntry.objects.filter(program_id=program_id, actor=actor, action=action, at__gt=since)
    return list(entries.order_by("at").values_list("at", flat=True))
