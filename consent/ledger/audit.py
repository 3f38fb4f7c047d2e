"""Writes the record of officers' and jobs' actions, in the transaction of the action itself."""

from datetime import datetime, timedelta
from typing import Any

from django.db import connection

from consent.ledger.models import AuditEntry

OFFICER = "officer:"
"""How an actor who is an officer begins; their account's number follows."""
HOUR = timedelta(hours=1)


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


def again_at(*, actor: str, action: str, most: int, now: datetime) -> datetime | None:
    """When an officer may do it once more, who may do it so often an hour in all mini-programs together; None: now.

    Of what migration 0069 counts. Until the transaction ends no other asks the same of the actor, so that of two at once the
    second sees the first.
    """
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_xact_lock(hashtextextended(%s, 0))", [f"{action} {actor}"])
        cursor.execute("SELECT times_of_officer(%s, %s, %s)", [actor, action, now - HOUR])
        times: list[datetime] = [at for (at,) in cursor.fetchall()]
    return times[-most] + HOUR if len(times) >= most else None
