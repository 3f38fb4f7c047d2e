"""Erasing what was collected under a purpose, once its consent ended: owed since the act, done by whichever worker comes.

No lease: a step is a transaction that tries the subject's lock and passes on where somebody has it, so that a killed
worker leaves nothing behind, and no act of the subject waits for more than a step. One worker at a time does this, so that
requests, for which people wait, have the others. What is not done stays due, however often it failed. What a legal hold
keeps stays, used for nothing, and goes when the hold is over.
"""

import logging
import time
from collections import deque
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from django.db import connection
from django.db.models import F, QuerySet

from consent.programs.tenancy import tenant, without_tenant
from consent.records.models import PurposeErasure
from consent.records.queries import db_now
from consent.rights import barrier, legal_holds
from consent.rights.holders import Collected, holders
from consent.rights.models import LegalHold
from consent.rights.runs import SURROUNDINGS, code_of, pause
from consent.vault.models import Subject

STEP_LIMIT = 5_000
LOOK_AGAIN = timedelta(hours=1)
"""Whether a hold still stands; it may be lifted before its day."""
LOOKED_AT_ONCE = 200
PATIENT_FROM = 10
"""Failures from which on the pause is the longest."""

_OPEN = "SELECT program_id, subject_id, purpose_id, version FROM purpose_erasure WHERE done_at IS NULL"
_DUE = f"{_OPEN} AND not_before <= clock_timestamp() ORDER BY not_before LIMIT %s"
# What failed waits for its next attempt, and is owed all the same; what was never tried waits for a reason, as an undo time.
_OWED = f"""
    {_OPEN} AND program_id = %s
    AND (not_before <= clock_timestamp() OR (attempts > 0 AND owed_from <= clock_timestamp())) ORDER BY owed_from
"""
_OVERDUE = "SELECT count(*) FROM purpose_erasure WHERE done_at IS NULL AND owed_from < %s"

logger = logging.getLogger("zhiqing.rights")


class Busy(Exception):
    """Another worker is at it."""


class PassedOver(Exception):
    """Somebody else has the subject, or it is done, or the subject is gone, or a law keeps what is left."""


@dataclass(frozen=True)
class Owed:
    """The key of a row of purpose_erasure."""

    program_id: int
    subject_id: int
    purpose_id: int
    version: int


def due() -> list[Owed]:
    """What is to be done now, longest due first, of every mini-program."""
    return _found(_DUE, LOOKED_AT_ONCE)


def owed_by_now(program_id: int) -> list[Owed]:
    """All that one mini-program owes and no law keeps, also what failed and waits to be tried again."""
    return _found(_OWED, program_id)


def _found(statement: str, parameter: int) -> list[Owed]:
    with without_tenant(), connection.cursor() as cursor:
        cursor.execute(statement, [parameter])
        return [Owed(*row) for row in cursor.fetchall()]


def overdue(*, now: datetime, within: timedelta) -> int:
    """How many erasures should have been done by now, of every mini-program."""
    with without_tenant(), connection.cursor() as cursor:
        cursor.execute(_OVERDUE, [now - within])
        return int(cursor.fetchone()[0])


def owed_in(program_id: int) -> QuerySet[PurposeErasure]:
    """What one mini-program owes. Under the tenant."""
    return PurposeErasure.objects.filter(program_id=program_id, done_at__isnull=True)


def late_in(program_id: int, *, now: datetime, within: timedelta) -> QuerySet[PurposeErasure]:
    """What of that should have been done by now."""
    return owed_in(program_id).filter(owed_from__lt=now - within)


def overdue_in(program_id: int, *, now: datetime, within: timedelta) -> int:
    """How many that is."""
    return late_in(program_id, now=now, within=within).count()


def erase_due(*, seconds: float, find: Callable[[], list[Owed]] = due) -> tuple[int, int]:
    """Do what is found until nothing new is, the time is over or another worker does it; answers how many erasures and rows."""
    until, done, affected = time.monotonic() + seconds, 0, 0
    tried: set[Owed] = set()
    while found := [owed for owed in find() if owed not in tried]:
        for owed in found:
            if time.monotonic() >= until:
                return done, affected
            tried.add(owed)
            try:
                finished, rows = attempt(owed)
            except Busy:
                return done, affected
            done, affected = done + finished, affected + rows
    return done, affected


def attempt(owed: Owed) -> tuple[bool, int]:
    """Do it, or put it off after a failure; whether it is done, and how many rows went. Raises Busy."""
    rows = 0
    try:
        for affected in _work(owed):
            rows += affected
    except PassedOver:
        return False, rows
    except Busy:
        raise
    except Exception as error:
        _put_off(owed, error)
        return False, rows
    logger.info("collected data erased", extra={"fields": {"program": owed.program_id, "rows": rows}})
    return True, rows


def _work(owed: Owed) -> Iterator[int]:
    """Every holder in the order of an erasure, in steps, each a transaction of its own; yields the rows of each."""
    with _step(owed) as row:
        what = collected(row, db_now())
        refused = barrier.restricted_by_a_rejection(owed.subject_id)
        if refused:
            # What an officer told the person a law keeps is looked at again in case they are to be erased after all.
            _put_off_until(owed, db_now() + LOOK_AGAIN, owed_from=db_now() + LOOK_AGAIN)
    if refused:
        raise PassedOver
    left = deque((holder.identifier, holder.erase_collected(what, limit=STEP_LIMIT)) for holder in holders())
    kept = False
    while left:
        with _step(owed):
            holds = legal_holds.standing(owed.program_id, owed.subject_id)
            affected = _advance(left, holds)
            _rows(owed).update(affected=F("affected") + affected)
            if not left:
                kept = _end(owed, what, holds)
        yield affected
    if kept:
        raise PassedOver


def _advance(left: deque[tuple[str, Iterator[int]]], holds: Collection[str]) -> int:
    """One step of the first holder that still has something and that no law keeps; those before it are over. Its rows."""
    while left:
        holder, steps = left[0]
        if holder not in holds and (affected := next(steps, None)) is not None:
            return affected
        left.popleft()
    return 0


def _end(owed: Owed, what: Collected, holds: Mapping[str, LegalHold]) -> bool:
    """Whether a law keeps some of it, which then waits; it is done else."""
    kept = [holds[each.identifier] for each in holders() if each.identifier in holds and each.count_collected(what)]
    if kept:
        _put_off_until(owed, db_now() + LOOK_AGAIN, owed_from=max(map(legal_holds.over_from, kept)))
    else:
        # Unless more of it is owed by now: of what a shorter retention took some, all may have to go.
        _rows(owed).filter(asked_at=what.asked_at, kept_days=what.kept_days).update(done_at=db_now())
    return bool(kept)


def _put_off_until(owed: Owed, again: datetime, *, owed_from: datetime) -> None:
    """`owed_from`: from when on it is due, so that it is not overdue while the law keeps it."""
    _rows(owed).update(not_before=again, owed_from=owed_from)


def collected(row: PurposeErasure, now: datetime) -> Collected:
    return Collected(
        program_id=row.program_id,
        subject_id=row.subject_id,
        purpose_id=row.purpose_id,
        before_version=row.version,
        asked_at=row.asked_at,
        kept_days=row.kept_days,
        today=now.astimezone(UTC).date(),
    )


@contextmanager
def _step(owed: Owed) -> Iterator[PurposeErasure]:
    with tenant(owed.program_id):
        with connection.cursor() as cursor:
            # For the step only, so that it ends with whoever has it.
            cursor.execute("SELECT pg_try_advisory_xact_lock(hashtextextended('erase what was collected', 0))")
            (mine,) = cursor.fetchone()
        if not mine:
            raise Busy
        rows = Subject.objects.select_for_update(no_key=True, skip_locked=True)
        if rows.filter(id=owed.subject_id).first() is None:
            raise PassedOver
        row = _rows(owed).filter(done_at__isnull=True).first()
        if row is None:
            raise PassedOver
        yield row


def _rows(owed: Owed) -> QuerySet[PurposeErasure]:
    return PurposeErasure.objects.filter(subject_id=owed.subject_id, purpose_id=owed.purpose_id, version=owed.version)


def _put_off(owed: Owed, error: Exception) -> None:
    with tenant(owed.program_id):
        row = _rows(owed).first()
        if row is not None:
            # What stands around the work is away: the work is not to blame.
            attempts, now = row.attempts + (not isinstance(error, SURROUNDINGS)), db_now()
            # What a hold had put off is owed now if that was lifted before its day.
            again = now + pause(min(attempts, PATIENT_FROM))
            _rows(owed).update(attempts=attempts, not_before=again, owed_from=min(row.owed_from, now))
    logger.warning(
        "erasure of collected data failed",
        exc_info=error,
        extra={"fields": {"program": owed.program_id, "code": code_of(error)}},
    )
