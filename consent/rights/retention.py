"""What may be kept no longer goes by itself (PIPL 47): in every holder, step by step, a mini-program at a time.

purge(program_id=…, keeping=…, full=…)   # do it
over(program_id=…, keeping=…)            # what it would delete, and why
"""

import logging
from collections import Counter
from collections.abc import Iterator
from datetime import datetime, timedelta

from django.db import connection

from consent.ledger import disclosures
from consent.notices import assessments
from consent.notices.models import Purpose
from consent.programs.idempotency import KEPT
from consent.programs.models import IdempotencyRecord
from consent.programs.tenancy import tenant
from consent.records.models import PurposeErasure, WithdrawalIntent
from consent.rights.collected import collected
from consent.rights.holders import Keeping, Over, Reason, holders

STEP_LIMIT = 5_000
INTENTS_KEPT = timedelta(minutes=1)
LATE = timedelta(hours=1)

logger = logging.getLogger("zhiqing.rights")


class Busy(Exception):
    """Another worker purges this mini-program."""


def purge(*, program_id: int, keeping: Keeping, full: bool) -> dict[str, int]:
    """Delete what is over; answers the rows by holder. Steps are short transactions; a killed one is done again.

    `full`: everywhere, also where an earlier purge has been. Raises Busy.
    """
    with tenant(program_id):
        note_ended_purposes(program_id, keeping.now)
    deleted = {}
    for holder in holders():
        steps = holder.purge(program_id=program_id, keeping=keeping, full=full, limit=STEP_LIMIT)
        rows = 0
        while (affected := _next(program_id, steps)) is not None:
            rows += affected
        deleted[holder.identifier] = rows
    with tenant(program_id):
        deleted["disclosures"] = disclosures.forget_old(program_id, now=keeping.now)
        deleted["impact assessments"] = assessments.forget_old(program_id, now=keeping.now)
    if any(deleted.values()):
        logger.info("purged", extra={"fields": {"program": program_id, **deleted}})
    return deleted


def _next(program_id: int, steps: Iterator[int]) -> int | None:
    with tenant(program_id):
        with connection.cursor() as cursor:
            # For the step only, so that it ends with whoever has it.
            cursor.execute("SELECT pg_try_advisory_xact_lock(hashtextextended('purge', %s))", [program_id])
            (mine,) = cursor.fetchone()
        if not mine:
            raise Busy
        return next(steps, None)


def note_ended_purposes(program_id: int, now: datetime) -> None:
    """Since when a purpose is no longer active, as far as is known: the deadline of its erasure counts from here."""
    purposes = Purpose.objects.filter(program_id=program_id)
    purposes.filter(active=False, ended_at__isnull=True).update(ended_at=now)
    purposes.filter(active=True, ended_at__isnull=False).update(ended_at=None)


def over(*, program_id: int, keeping: Keeping) -> list[Over]:
    """What a full purge would delete now, by table and reason; changes nothing. What is both withdrawn and too old is
    told under both."""
    found = []
    for holder in holders():
        with tenant(program_id):
            found += list(holder.over(program_id=program_id, keeping=keeping))
    return found + _owed(program_id, keeping) + _passing(program_id, keeping) + _logs(program_id, keeping)


def _owed(program_id: int, keeping: Keeping) -> list[Over]:
    """What the consents that ended left, by holder and purpose."""
    rows: Counter[tuple[str, str]] = Counter()
    late: Counter[tuple[str, str]] = Counter()
    with tenant(program_id):
        open_ones = list(
            PurposeErasure.objects.filter(
                program_id=program_id, done_at__isnull=True, owed_from__lte=keeping.now
            ).select_related("purpose")
        )
    for owed in open_ones:
        for holder in holders():
            with tenant(program_id):
                count = holder.count_collected(collected(owed, keeping.now))
            rows[holder.collects, owed.purpose.code] += count
            late[holder.collects, owed.purpose.code] += count if keeping.overdue(owed.owed_from) else 0
    return [
        Over(table, Reason.WITHDRAWN, count, late[table, code], code)
        for (table, code), count in sorted(rows.items())
        if count
    ]


def _passing(program_id: int, keeping: Keeping) -> list[Over]:
    """What other tasks delete by the minute, and is here where they do not run."""
    found = []
    with tenant(program_id):
        for table, rows, kept in (
            ("idempotency_record", IdempotencyRecord.objects.filter(program_id=program_id), KEPT),
            ("withdrawal_intent", WithdrawalIntent.objects.filter(program_id=program_id), INTENTS_KEPT),
        ):
            before = keeping.now - kept
            if count := rows.filter(created_at__lt=before).count():
                found.append(Over(table, Reason.EXPIRED, count, rows.filter(created_at__lt=before - LATE).count()))
    return found


def _logs(program_id: int, keeping: Keeping) -> list[Over]:
    """What proves how data were handled, once its three years are over."""
    with tenant(program_id):
        rows = {
            "disclosure": disclosures.over(program_id, now=keeping.now),
            "impact_assessment": assessments.over(program_id, now=keeping.now),
        }
    return [Over(table, Reason.EXPIRED, count) for table, count in rows.items() if count]
