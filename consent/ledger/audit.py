"""Writes the record of officers' and jobs' actions, in the transaction of the action itself, with a leaf in the log."""

import json
from datetime import UTC, datetime, timedelta
from typing import Any

from django.db import connection

from consent.ledger.leaves import LeafType, leaf_hash, new_salt
from consent.ledger.models import AuditEntry

OFFICER = "officer:"
"""How an actor who is an officer begins; their account's number follows."""
HOUR = timedelta(hours=1)

_NUMBER = "SELECT nextval(pg_get_serial_sequence('audit_entry', 'id')), coalesce(%s::timestamptz, now())"
_WRITE = """
    WITH committed AS (
        INSERT INTO leaf (program_id, type, hash, subject_version) VALUES (%(program)s, %(type)s, %(hash)s, 0) RETURNING id
    )
    INSERT INTO audit_entry (id, program_id, actor, action, target, at, details, leaf_id, salt)
    SELECT %(entry)s, %(program)s, %(actor)s, %(action)s, %(target)s, %(at)s, %(details)s, id, %(salt)s FROM committed
"""


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
    with connection.cursor() as cursor:
        cursor.execute(_NUMBER, [at])
        number, at = cursor.fetchone()
        kept = json.dumps(details or {}, ensure_ascii=False)
        # As a row that is read again has it: without tuples, keys as text.
        entry = AuditEntry(
            id=number,
            program_id=program_id,
            actor=actor,
            action=action,
            target=target,
            at=at,
            details=json.loads(kept),
        )
        salt = new_salt()
        cursor.execute(
            _WRITE,
            {
                "entry": number,
                "program": program_id,
                "actor": actor,
                "action": action,
                "target": target,
                "at": at,
                "details": kept,
                "type": LeafType.AUDIT_ENTRY,
                "hash": leaf_hash(LeafType.AUDIT_ENTRY, salt, canonical(entry)),
                "salt": salt,
            },
        )
    return int(number)


def canonical(entry: AuditEntry) -> dict[str, Any]:
    """What a leaf commits to, as RFC 8785 takes it."""
    return {
        "entry": entry.pk,
        "program": entry.program_id,
        **{name: getattr(entry, name) for name in ("actor", "action", "target", "details")},
        "at": entry.at.astimezone(UTC).isoformat(),
    }


def again_at(*, actor: str, action: str, most: int, now: datetime) -> datetime | None:
    """When an officer may do it once more, who may do it so often an hour in all mini-programs together; None: now.

    Of what migration 0069 counts; DatabaseError where the database cannot count it in all of them. Until the transaction ends no
    other asks the same of the actor, so that of two at once the second sees the first.
    """
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_xact_lock(hashtextextended(%s, 0))", [f"{action} {actor}"])
        cursor.execute("SELECT times_of_officer(%s, %s, %s)", [actor, action, now - HOUR])
        times: list[datetime] = [at for (at,) in cursor.fetchall()]
    return times[-most] + HOUR if len(times) >= most else None
