"""Leases on holder runs: who may work on which, for how long, and what becomes of a run that failed.

A run is claimed by one conditional UPDATE. Every step of work is a transaction that renews the lease under the run's
row lock, so a worker that was thought dead and comes back finds its token gone and stops before it changes anything.
Locks are taken in this order everywhere: subject, request, runs, then whatever a holder keeps.
"""

import logging
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, timedelta

from django.db import Error as DatabaseError
from django.db import InterfaceError, OperationalError, connection
from django.db.models import DateTimeField, F
from django.db.models.functions import Coalesce

from consent.errors import NotFound, Problem, Unavailable
from consent.ledger.audit import audit
from consent.programs.tenancy import tenant
from consent.records.queries import Clock, db_now
from consent.rights.holders import AnswersAwaited
from consent.rights.models import (
    ERASING,
    PACKAGED,
    WAITING,
    HolderRun,
    LegalHold,
    RequestKind,
    RequestState,
    RequestSubject,
    RunStatus,
    SubjectRequest,
)
from consent.vault.keyring import KeyringError
from consent.vault.models import Subject
from consent.webhooks import actions as webhooks

LEASE = timedelta(seconds=30)
MAX_ATTEMPTS = 10
LONGEST_PAUSE = timedelta(minutes=10)
SHORTEST_WAIT, LONGEST_WAIT = timedelta(seconds=1), timedelta(minutes=5)
# What stands around the work is away: the work is not to blame, and is tried until that is back.
SURROUNDINGS = (OperationalError, InterfaceError, KeyringError, OSError, AnswersAwaited, Unavailable)
ACTOR = "worker"
_RECTIFIED = (RequestState.COMPLETED, RequestState.PARTIALLY_COMPLETED)

logger = logging.getLogger("zhiqing.rights")

_CLAIM = """
    UPDATE holder_run SET status = 'running', attempts = attempts + 1, error = '', finished_at = NULL,
           affected = CASE WHEN %s THEN affected ELSE 0 END,
           lease_token = %s, lease_until = clock_timestamp() + make_interval(secs => %s)
    WHERE id = (
        SELECT run.id FROM holder_run run
        WHERE run.request_id = %s AND run.status IN ('pending', 'running') AND run.not_before <= clock_timestamp()
          AND (run.lease_until IS NULL OR run.lease_until < clock_timestamp())
          AND NOT EXISTS (
              SELECT FROM holder_run earlier
              WHERE earlier.request_id = run.request_id AND earlier.stage < run.stage AND earlier.status NOT IN ('done', 'held')
          )
        ORDER BY run.stage, run.id LIMIT 1
        FOR NO KEY UPDATE SKIP LOCKED
    )
    RETURNING id, holder, stage, attempts
"""


@dataclass(frozen=True)
class Claimed:
    """A run that this worker holds, of a request about a subject."""

    id: int
    holder: str
    stage: int
    attempts: int
    token: uuid.UUID
    lease: timedelta
    program_id: int
    request_id: uuid.UUID
    kind: str
    locale: str
    subject_id: int

    def fields(self, **more: object) -> dict[str, object]:
        """For a log line: the request and the holder, never the subject."""
        return {"request": str(self.request_id), "kind": self.kind, "holder": self.holder, **more}


class LeaseLost(Exception):
    """Another worker has the run, or the request was closed meanwhile: stop, and leave everything as it is."""


def claim(program_id: int, request_id: uuid.UUID, *, lease: timedelta) -> Claimed | None:
    """The next run of the request that is due, or None. A request about nobody we know is completed on the spot."""
    token = uuid.uuid4()
    with tenant(program_id):
        request = locked_open(program_id, request_id)
        if request is None:
            return None
        with connection.cursor() as cursor:
            erasing = request.kind in ERASING
            cursor.execute(_CLAIM, [erasing, token, lease.total_seconds(), request_id])
            row = cursor.fetchone()
        if row is None:
            return None
        about = RequestSubject.objects.filter(request_id=request_id, program_id=program_id).first()
        if about is None:
            close_without_data(request)
            return None
        if request.state == RequestState.APPROVED:
            SubjectRequest.objects.filter(id=request_id).update(state=RequestState.IN_PROGRESS)
            webhooks.tell_request(request, RequestState.IN_PROGRESS)
        run_id, holder, stage, attempts = row
        return Claimed(
            id=run_id,
            holder=holder,
            stage=stage,
            attempts=attempts,
            token=token,
            lease=lease,
            program_id=program_id,
            request_id=request_id,
            kind=request.kind,
            locale=request.locale,
            subject_id=about.subject_id,
        )


def locked_subject(program_id: int, request_id: uuid.UUID) -> Subject | None:
    """Whom the request is about, with the row locked; None where that is nobody we know, or nobody any more."""
    about = RequestSubject.objects.filter(request_id=request_id, program_id=program_id).first()
    if about is None:
        return None
    return Subject.objects.select_for_update(no_key=True).filter(id=about.subject_id).first()


def locked(program_id: int, request_id: uuid.UUID) -> tuple[SubjectRequest, Subject | None]:
    """The request and its subject, with their rows locked, the subject's first. Raises NotFound."""
    subject = locked_subject(program_id, request_id)
    rows = SubjectRequest.objects.select_for_update(no_key=True)
    request = rows.filter(id=request_id, program_id=program_id).first()
    if request is None:
        raise NotFound("not_found", "this mini-program has no request with this id")
    return request, subject


def locked_open(program_id: int, request_id: uuid.UUID) -> SubjectRequest | None:
    """The request with its row locked, unless it is closed."""
    rows = SubjectRequest.objects.select_for_update(no_key=True)
    return rows.filter(id=request_id, program_id=program_id, closed_at__isnull=True).first()


@contextmanager
def step(run: Claimed) -> Iterator[Subject]:
    """One transaction of work on a run, with the subject's row locked and the lease renewed. Raises LeaseLost."""
    with tenant(run.program_id):
        subject = Subject.objects.select_for_update(no_key=True).filter(id=run.subject_id).first()
        if subject is None:
            raise LeaseLost
        renew(run)
        yield subject


def renew(run: Claimed) -> None:
    """Lock the run's row and renew the lease, within a transaction. Raises LeaseLost."""
    mine = HolderRun.objects.filter(id=run.id, lease_token=run.token, status=RunStatus.RUNNING)
    if not mine.update(lease_until=Clock() + run.lease):
        raise LeaseLost


def advanced(run: Claimed, affected: int) -> None:
    """Count what a step did. A step of an erasure cannot be lost again, so it earns the run its attempts anew."""
    if not affected:
        return
    mine = HolderRun.objects.filter(id=run.id)
    if run.kind in ERASING:
        mine.update(affected=F("affected") + affected, attempts=0)
    else:
        mine.update(affected=F("affected") + affected)


def finished(run: Claimed) -> None:
    """Call within `step`."""
    HolderRun.objects.filter(id=run.id).update(
        status=RunStatus.DONE, lease_until=None, lease_token=None, finished_at=Clock()
    )


def held(run: Claimed, hold: LegalHold) -> None:
    """The law keeps what there is. Call within `step`."""
    HolderRun.objects.filter(id=run.id).update(
        status=RunStatus.HELD, hold=hold, lease_until=None, lease_token=None, finished_at=db_now()
    )


def failed(run: Claimed, error: BaseException) -> None:
    """Give the run back, to be tried again after a pause, or give it up and close the request as failed.

    What a rule forbids (a Problem) is not tried again; what the surroundings did counts as no attempt. A failed erasure
    leaves the gate closed: only taking it back, or another erasure that succeeds, ends that.
    """
    with tenant(run.program_id):
        Subject.objects.select_for_update(no_key=True).filter(id=run.subject_id).first()
        request = locked_open(run.program_id, run.request_id)
        held = HolderRun.objects.select_for_update().filter(id=run.id, lease_token=run.token).first()
        if request is None or held is None:
            return
        held.error, held.lease_until, held.lease_token = code_of(error), None, None
        final = _take_note(held, request, error)
        held.save()
        if final:
            _close_failed(request, held)
    told = {"fields": run.fields(code=held.error, attempts=held.attempts, final=final)}
    if isinstance(error, AnswersAwaited):
        logger.info("run waits for an answer", extra=told)
    else:
        logger.warning("run failed", exc_info=error, extra=told)


def _take_note(held: HolderRun, request: SubjectRequest, error: BaseException) -> bool:
    """Set what becomes of the run; answers whether it is given up."""
    if isinstance(error, SURROUNDINGS):
        held.attempts = max(0, held.attempts - 1)
        held.status, held.not_before = RunStatus.PENDING, db_now() + wait(request)
        return False
    if isinstance(error, (Problem, AttemptsExhausted)) or held.attempts >= MAX_ATTEMPTS:
        held.status, held.finished_at = RunStatus.FAILED, db_now()
        return True
    held.status, held.not_before = RunStatus.PENDING, db_now() + pause(held.attempts)
    return False


class AttemptsExhausted(Exception):
    """The run was claimed too often without an end: its worker died each time."""


def code_of(error: BaseException) -> str:
    """What is kept of an error: never its message, which may quote a row."""
    if isinstance(error, Problem):
        return error.code
    if isinstance(error, DatabaseError):
        return f"database_{getattr(error.__cause__, 'sqlstate', None) or 'error'}"
    return type(error).__name__


def pause(attempts: int) -> timedelta:
    return min(timedelta(seconds=2**attempts), LONGEST_PAUSE)


def wait(request: SubjectRequest) -> timedelta:
    """Until the next try of what the work is not to blame for: a quarter of the time the request has been due."""
    due_for = db_now() - max(request.received_at, request.undo_until or request.received_at)
    return min(max(due_for / 4, SHORTEST_WAIT), LONGEST_WAIT)


def close(
    request: SubjectRequest,
    state: RequestState,
    *,
    by: str = ACTOR,
    day_only: bool = False,
    rejection: str | None = None,
) -> None:
    """The terminal state, with its audit entry. The caller holds the subject's row and the request's.

    A restriction goes on to stand, so that there is no other, until it is taken back.
    `day_only`: the entry outlives a subject whom its time would point to, as it would for every erasure.
    """
    SubjectRequest.objects.filter(id=request.id).update(state=state, closed_at=db_now(), rejection=rejection)
    standing = request.kind == RequestKind.RESTRICTION and state == RequestState.COMPLETED
    RequestSubject.objects.filter(request_id=request.id).update(open=standing)
    told = {} if rejection is None else {"rejection": rejection}
    webhooks.tell_request(request, state)
    if request.kind == RequestKind.RECTIFICATION and state in _RECTIFIED:
        webhooks.tell_rectified(request)
    audited(request, state.value, by=by, day_only=day_only or request.kind in ERASING, **told)


def audited(request: SubjectRequest, what: str, *, by: str, day_only: bool, **details: str) -> None:
    """`what` happened to the request, now or on this day (UTC); `details` are codes and numbers."""
    audit(
        program_id=request.program_id,
        actor=by,
        action=f"request.{what}",
        target=f"request:{request.id}",
        details={"kind": request.kind, **details},
        at=db_now().astimezone(UTC).replace(hour=0, minute=0, second=0, microsecond=0) if day_only else None,
    )


def close_without_data(request: SubjectRequest, *, by: str = ACTOR, day_only: bool = False) -> None:
    """Nobody we know, or nobody any more: every holder has done all there is to do."""
    end_runs(request, RunStatus.DONE)
    close(request, RequestState.COMPLETED_NO_DATA, by=by, day_only=day_only)


def stop(request: SubjectRequest) -> None:
    """Nothing of the request is done before `go_on`; a worker on it loses its lease. A package is made anew then, of one time. The
    caller holds the subject's row and the request's."""
    again = [RunStatus.PENDING, RunStatus.RUNNING]
    if request.kind in PACKAGED:
        again.append(RunStatus.DONE)
    HolderRun.objects.filter(request=request, status__in=again).update(
        status=RunStatus.PENDING,
        not_before=None,
        attempts=0,
        error="",
        lease_until=None,
        lease_token=None,
        finished_at=None,
    )


def go_on(subject: Subject) -> None:
    """What was stopped of the subject's requests is due again. The caller holds the subject's row."""
    about = RequestSubject.objects.filter(subject=subject, open=True).values_list("request_id", flat=True)
    rows = SubjectRequest.objects.select_for_update(no_key=True).filter(id__in=list(about), closed_at__isnull=True)
    stopped = list(rows.exclude(state__in=WAITING).order_by("id"))
    HolderRun.objects.filter(request__in=stopped, status=RunStatus.PENDING, not_before__isnull=True).update(
        not_before=db_now()
    )


def end_runs(request: SubjectRequest, status: RunStatus) -> None:
    """What is not finished ends so; a worker on it loses its lease.

    A request that waits for an officer, or was stopped, has runs without a time, so theirs get one: migration 0005 reverses
    once none waits. What a law keeps of an erasure that is given up is kept as the person's data are, by no run.
    """
    now = db_now()
    unfinished = HolderRun.objects.filter(request=request, status__in=[RunStatus.PENDING, RunStatus.RUNNING])
    if status == RunStatus.CANCELLED:
        HolderRun.objects.filter(request=request, status=RunStatus.HELD).update(status=status, hold=None)
    unfinished.update(
        status=status,
        lease_until=None,
        lease_token=None,
        finished_at=now,
        not_before=Coalesce("not_before", now, output_field=DateTimeField()),
    )


def _close_failed(request: SubjectRequest, run: HolderRun) -> None:
    """A rectification of which a holder has put something right already is not undone: it says so."""
    end_runs(request, RunStatus.CANCELLED)
    some = request.runs.filter(status=RunStatus.DONE, affected__gt=0).exists()
    partly = some and request.kind == RequestKind.RECTIFICATION
    close(request, RequestState.PARTIALLY_COMPLETED if partly else RequestState.FAILED)
