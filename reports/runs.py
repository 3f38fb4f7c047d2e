"""Questions that a worker answers: asked, claimed with a lease, answered or given up, cancelled, and forgotten.

As with the runs of requests (consent.rights.runs): a message is a hint, one conditional UPDATE claims a run, and a worker that
was thought dead finds its token gone and changes nothing. The edge has checked the question (reports.api.questions).
"""

import logging
import uuid
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.db import connection, transaction
from django.db.models import Q, QuerySet

from consent.errors import Conflict, NotFound, Problem
from consent.ledger.audit import audit
from consent.programs import idempotency
from consent.programs.idempotency import IdempotencyKey
from consent.programs.tenancy import role, tenant, without_tenant
from consent.records.queries import Clock
from consent.rights.runs import code_of
from reports.models import OPEN, ReportRun, RunState

KEPT = timedelta(hours=24)
LEASE = timedelta(seconds=30)
MAX_ATTEMPTS = 3
PAUSE = timedelta(seconds=10)
MAX_OPEN = 10
"""Of a mini-program at once."""

logger = logging.getLogger("zhiqing.reports")

# One run at a time, of all mini-programs: erasures and rights requests need the other workers.
_SLOT = "SELECT pg_try_advisory_lock(hashtextextended('report_run', 0))"
_SLOT_AGAIN = "SELECT pg_advisory_unlock(hashtextextended('report_run', 0))"
# A dead worker's statement would go on to its end otherwise, and keep the place.
_ENDS_WITH_US = "SET client_connection_check_interval = '5s'"
_ENDS_AS_USUAL = "RESET client_connection_check_interval"
_LOCK_OPEN = "SELECT pg_advisory_xact_lock(hashtextextended('report_run', %s))"

_ABANDONED = """
    UPDATE report_run SET state = 'failed', finished_at = clock_timestamp(), lease_token = NULL, lease_until = NULL,
           problem = '{"code": "worker_died", "detail": "the workers that answered this died; ask for less"}'
    WHERE program_id = %s AND id = %s AND state = 'running' AND lease_until < clock_timestamp() AND attempts >= %s
"""
_CLAIM = """
    UPDATE report_run SET state = 'running', attempts = attempts + 1, counting = '', done = 0, parts = NULL,
           started_at = coalesce(started_at, clock_timestamp()),
           lease_token = %s, lease_until = clock_timestamp() + make_interval(secs => %s)
    WHERE program_id = %s AND id = %s AND not_before <= clock_timestamp() AND expires_at > clock_timestamp()
      AND (state = 'queued' OR (state = 'running' AND lease_until < clock_timestamp()))
"""
_DUE = """
    SELECT id FROM report_run
    WHERE state IN ('queued', 'running') AND not_before <= clock_timestamp()
      AND (state = 'queued' OR lease_until < clock_timestamp())
      AND NOT EXISTS (SELECT FROM report_run WHERE state = 'running' AND lease_until >= clock_timestamp())
    ORDER BY asked_at LIMIT 1
"""
_EXPIRED = "DELETE FROM report_run WHERE program_id = %s AND expires_at < %s"

Place = tuple[datetime, uuid.UUID]
"""Where a page of the list begins: behind the run asked then, with this id."""


@dataclass(frozen=True)
class Claimed:
    """A run that this worker holds."""

    id: uuid.UUID
    program_id: int
    metric: str
    question: Mapping[str, Any]
    attempts: int
    token: uuid.UUID

    def fields(self, **more: object) -> dict[str, object]:
        """For a log line."""
        return {"run": str(self.id), "report": self.metric, **more}


def ask(
    *,
    program_id: int,
    metric: str,
    question: Mapping[str, Any],
    by: str,
    on_asked: Callable[[uuid.UUID], object],
    idempotency_key: IdempotencyKey | None = None,
) -> ReportRun:
    """`on_asked` is called when the run is there for workers to find. Raises Conflict `too_many_runs`; NotFound where what
    the key made before has expired."""
    with tenant(program_id):
        if idempotency_key is not None and not idempotency.claim(idempotency_key):
            return _made_before(program_id, idempotency_key)
        with connection.cursor() as cursor:
            cursor.execute(_LOCK_OPEN, [program_id])
        if ReportRun.objects.filter(program_id=program_id, state__in=OPEN).count() >= MAX_OPEN:
            detail = f"{MAX_OPEN} reports are being made in the background; wait for one, or cancel it"
            raise Conflict("too_many_runs", detail, retry_after=10)
        run = ReportRun.objects.create(
            program_id=program_id,
            metric=metric,
            question=dict(question),
            asked_by=by,
            expires_at=Clock() + KEPT,
            idempotency=idempotency_key.key_hash if idempotency_key else None,
        )
        run.refresh_from_db(fields=["asked_at", "expires_at", "state"])
        audit(
            program_id=program_id,
            actor=by,
            action="report_run.asked",
            target=f"report_run:{run.pk}",
            details={"report": metric},
        )
        transaction.on_commit(lambda: on_asked(run.pk))
    return run


def cancel(*, program_id: int, run_id: uuid.UUID, by: str) -> None:
    """Its worker stops within a second or two. Nothing happens where it is cancelled already. Raises NotFound; Conflict
    `run_over`."""
    with tenant(program_id):
        mine = ReportRun.objects.filter(program_id=program_id, id=run_id)
        if mine.filter(state__in=OPEN).update(
            state=RunState.CANCELLED, finished_at=Clock(), lease_token=None, lease_until=None
        ):
            audit(program_id=program_id, actor=by, action="report_run.cancelled", target=f"report_run:{run_id}")
        elif one(program_id, run_id).state != RunState.CANCELLED:
            raise Conflict("run_over", "this is over already; there is nothing to cancel")


def one(program_id: int, run_id: uuid.UUID) -> ReportRun:
    """Under the tenant. Raises NotFound."""
    run = _kept(program_id).filter(id=run_id).first()
    if run is None:
        raise NotFound("not_found", "there is no such run, or it has expired; ask again")
    return run


def some(program_id: int, *, after: Place | None, limit: int) -> list[ReportRun]:
    """The last asked first, without their answers. Under the tenant."""
    rows = _kept(program_id).defer("answer").order_by("-asked_at", "-id")
    if after is not None:
        asked_at, run_id = after
        rows = rows.filter(Q(asked_at__lt=asked_at) | Q(asked_at=asked_at, id__lt=run_id))
    return list(rows[:limit])


def due() -> uuid.UUID | None:
    """The run that has waited longest, of every mini-program; None while a worker is on one."""
    with without_tenant(), connection.cursor() as cursor:
        cursor.execute(_DUE)
        row = cursor.fetchone()
    return None if row is None else uuid.UUID(str(row[0]))


def program_of(run_id: uuid.UUID) -> int | None:
    with without_tenant():
        return ReportRun.objects.filter(id=run_id).values_list("program_id", flat=True).first()


@contextmanager
def slot() -> Iterator[bool]:
    """Whether this worker may take up a run now: one at a time may. Not within a transaction."""
    with connection.cursor() as cursor:
        cursor.execute(_SLOT)
        (free,) = cursor.fetchone()
        if free:
            cursor.execute(_ENDS_WITH_US)
    try:
        yield free
    finally:
        # A connection that was closed meanwhile has given it back.
        if free and connection.connection is not None:
            with connection.cursor() as cursor:
                cursor.execute(_ENDS_AS_USUAL)
                cursor.execute(_SLOT_AGAIN)


def claim(program_id: int, run_id: uuid.UUID, *, lease: timedelta = LEASE) -> Claimed | None:
    """The run, unless it is over or another's; one whose workers died too often is given up."""
    token = uuid.uuid4()
    with tenant(program_id):
        with connection.cursor() as cursor:
            cursor.execute(_ABANDONED, [program_id, run_id, MAX_ATTEMPTS])
            cursor.execute(_CLAIM, [token, lease.total_seconds(), program_id, run_id])
        run = ReportRun.objects.filter(program_id=program_id, id=run_id, lease_token=token).first()
    if run is None:
        return None
    return Claimed(run_id, program_id, run.metric, run.question, run.attempts, token)


def renew(run: Claimed, *, counting: str, done: int, parts: int | None, lease: timedelta = LEASE) -> bool:
    """Tell how far it is; False where it is this worker's no longer."""
    with tenant(run.program_id):
        return bool(_mine(run).update(counting=counting, done=done, parts=parts, lease_until=Clock() + lease))


def finish(run: Claimed, answer: str, *, parts: int) -> bool:
    """False where it was cancelled or taken over meanwhile: then the answer is dropped."""
    with tenant(run.program_id):
        return _end(
            run, state=RunState.DONE, answer=answer, expires_at=Clock() + KEPT, counting="", done=parts, parts=parts
        )


def failed(run: Claimed, error: BaseException) -> None:
    """Given up where a rule forbids it or it failed too often; otherwise tried again after a pause."""
    final = isinstance(error, Problem) or run.attempts >= MAX_ATTEMPTS
    with tenant(run.program_id):
        if final:
            detail = error.detail if isinstance(error, Problem) else "this failed too often; ask for less, or later"
            _end(run, state=RunState.FAILED, problem={"code": code_of(error), "detail": detail})
        else:
            _mine(run).update(
                state=RunState.QUEUED, not_before=Clock() + PAUSE, lease_token=None, lease_until=None, counting=""
            )
    logger.warning("report run failed", exc_info=error, extra={"fields": run.fields(final=final)})


def forget(program_id: int, *, now: datetime) -> int:
    """Delete those that have expired; answers how many. Under the tenant, as the worker."""
    with role("zq_erase"), connection.cursor() as cursor:
        cursor.execute(_EXPIRED, [program_id, now])
        return int(cursor.rowcount)


def _kept(program_id: int) -> QuerySet[ReportRun]:
    return ReportRun.objects.filter(program_id=program_id, expires_at__gt=Clock())


def _mine(run: Claimed) -> QuerySet[ReportRun]:
    return ReportRun.objects.filter(program_id=run.program_id, id=run.id, lease_token=run.token, state=RunState.RUNNING)


def _end(run: Claimed, **values: Any) -> bool:
    return bool(_mine(run).update(finished_at=Clock(), lease_token=None, lease_until=None, **values))


def _made_before(program_id: int, key: IdempotencyKey) -> ReportRun:
    found = ReportRun.objects.filter(program_id=program_id, idempotency__in=key.hashes).order_by("-asked_at").first()
    if found is None:
        raise NotFound("not_found", "what this Idempotency-Key made has expired; ask again with another")
    return found
