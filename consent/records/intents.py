"""Intents to withdraw: committed before the locks are taken, so that batches step aside and cannot starve a withdrawal."""

from collections.abc import Sequence
from datetime import timedelta

from django.db import connection

from consent.programs.tenancy import tenant
from consent.records.models import WithdrawalIntent
from consent.records.queries import db_now


def announce(subject_id: int, *, purposes: Sequence[str] | None = None) -> None:
    """Insert intents for the subject's states (of all purposes by default). Call in a transaction of its own."""
    with connection.cursor() as cursor:
        cursor.execute(
            "INSERT INTO withdrawal_intent (subject_id, purpose_id, program_id)"
            " SELECT s.subject_id, s.purpose_id, s.program_id FROM consent_state s"
            " JOIN purpose p ON p.id = s.purpose_id"
            " WHERE s.subject_id = %s AND (%s::text[] IS NULL OR p.code = ANY(%s))"
            " ORDER BY s.purpose_id ON CONFLICT DO NOTHING",
            [subject_id, *[None if purposes is None else list(purposes)] * 2],
        )


def retract(program_id: int, subject_id: int, *, purposes: Sequence[str] | None = None) -> None:
    """Take intents (of all purposes by default) back. Another act's that is under way only loses its place in front."""
    with tenant(program_id):
        intents = WithdrawalIntent.objects.filter(subject_id=subject_id)
        (intents if purposes is None else intents.filter(purpose__code__in=purposes)).delete()


def sweep_intents(program_id: int, *, older_than: timedelta) -> int:
    """Delete intents whose withdrawal died before it took its locks. They fail safe: ingest answers retry meanwhile."""
    with tenant(program_id):
        deleted, _ = WithdrawalIntent.objects.filter(created_at__lt=db_now() - older_than).delete()
    return deleted
