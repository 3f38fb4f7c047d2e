"""Nothing is overdue in silence (docs/law.md L15): each request due soon, overdue, or refused and not told is noted once a stage,
and once more where it was opened again."""

import uuid
from dataclasses import dataclass
from datetime import datetime, timedelta

from django.db import connection

from consent.ledger.audit import audit
from consent.programs.models import MiniProgram
from consent.programs.tenancy import tenant
from consent.rights import queries
from consent.rights.deadlines import extended
from consent.rights.models import ReminderStage

_NOTE = """
    INSERT INTO request_reminder (request_id, program_id, stage, due_on, reopened)
    SELECT found.id, found.program_id, found.stage, (found.due AT TIME ZONE 'UTC')::date, found.reopened FROM (
        SELECT id, program_id, reopened, due_at AS due, 'due_soon' AS stage FROM subject_request
        WHERE program_id = %(program)s AND closed_at IS NULL AND due_at > %(now)s AND due_at <= %(soon)s
        UNION ALL
        SELECT id, program_id, reopened, due_at, 'overdue' FROM subject_request WHERE id = ANY(%(overdue)s)
        UNION ALL
        SELECT id, program_id, reopened, closed_at + make_interval(secs => %(delivery)s), 'undelivered'
        FROM subject_request WHERE id = ANY(%(undelivered)s)
    ) found
    ON CONFLICT DO NOTHING RETURNING request_id, stage
"""


@dataclass(frozen=True)
class Patience:
    """`soon_days`: working days before its deadline a request is due soon; `delivery`: by when a refusal is told."""

    soon_days: int
    delivery: timedelta

    def soon(self, now: datetime, *, zone: str) -> datetime:
        """What is due by then is due soon."""
        return extended(now, self.soon_days, zone=zone)


@dataclass(frozen=True)
class Reminder:
    request_id: uuid.UUID
    stage: ReminderStage


def remind(program_id: int, *, now: datetime, patience: Patience) -> list[Reminder]:
    """Note what has come to a stage since the last time, with an audit entry each; answers it. One statement of SQL finds
    it all, and a constraint keeps it to once a stage and deadline, each time the
    request is open."""
    with tenant(program_id):
        zone = MiniProgram.objects.get(id=program_id).zone
        undelivered = queries.undelivered(program_id, before=now - patience.delivery)
        with connection.cursor() as cursor:
            cursor.execute(
                _NOTE,
                {
                    "now": now,
                    "program": program_id,
                    "soon": patience.soon(now, zone=zone),
                    "delivery": patience.delivery.total_seconds(),
                    "overdue": list(queries.overdue(program_id, now=now).values_list("id", flat=True)),
                    "undelivered": list(undelivered.values_list("id", flat=True)),
                },
            )
            noted = [Reminder(request_id, ReminderStage(stage)) for request_id, stage in cursor.fetchall()]
        for reminder in noted:
            audit(
                program_id=program_id,
                actor="system",
                action=f"request.{reminder.stage.value}",
                target=f"request:{reminder.request_id}",
                # The day only: the entry outlives the subject.
                at=now.replace(hour=0, minute=0, second=0, microsecond=0),
            )
    return noted
