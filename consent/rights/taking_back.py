"""Taking a request back, lifting a restriction that stands, and doing without the time in which an erasure may be taken back."""

import uuid
from collections.abc import Callable
from datetime import datetime
from functools import partial

from django.db import transaction
from django.db.models import Q

from consent.errors import Conflict
from consent.programs.tenancy import tenant
from consent.records.queries import db_now
from consent.rights import barrier, gate, runs
from consent.rights.models import (
    ERASING,
    HolderRun,
    RequestKind,
    RequestState,
    RequestSubject,
    RunStatus,
    SubjectRequest,
)
from consent.vault.models import Subject


def take_back(*, program_id: int, request_id: uuid.UUID, by: str, asked_at: datetime | None = None) -> SubjectRequest:
    """Withdraw a request while nothing of it has been done; the gate it closed opens again from now on.

    A completed restriction is lifted by this. An erasure or restriction that has failed may be taken back too, whatever
    of it was done: its gate would stay closed for ever. Once taken back it stays so: a second call answers the same.
    `asked_at`: when that was asked, where it is carried out later (after a restore); now by default.
    Raises NotFound, Conflict `not_undoable`, `point_of_no_return`, and what `barrier.reopen` raises.
    """
    with gate.reopening(program_id, request_id):
        return _take_back(program_id, request_id, by, asked_at)


def _take_back(program_id: int, request_id: uuid.UUID, by: str, asked_at: datetime | None) -> SubjectRequest:
    with tenant(program_id):
        request, subject = runs.locked(program_id, request_id)
        if request.state == RequestState.WITHDRAWN:
            return request
        # None of its runs can begin before this transaction ends.
        list(HolderRun.objects.select_for_update(no_key=True).filter(request=request).order_by("id"))
        if not may_be_taken_back(request, subject, asked_at):
            if request.point_of_no_return_at is not None and request.state != RequestState.FAILED:
                raise Conflict("point_of_no_return", "erasing has begun; what is gone cannot be brought back")
            raise Conflict("not_undoable", "the request is being carried out or closed; it can no longer be taken back")
        runs.end_runs(request, RunStatus.CANCELLED)
        if subject is not None and request.state != RequestState.VERIFYING:
            barrier.reopen(subject, request)
        runs.close(request, RequestState.WITHDRAWN, by=by)
        request.refresh_from_db()
        return request


def waive(*, program_id: int, request_id: uuid.UUID, by: str, on_waived: Callable[[uuid.UUID], object]) -> None:
    """Have an erasure run at once: from now on it can no longer be taken back. Whoever calls has made sure that the subject themselves
    asks. Raises NotFound, Conflict `not_waivable`."""
    with tenant(program_id):
        request, _ = runs.locked(program_id, request_id)
        now = db_now()
        if request.state != RequestState.APPROVED or request.undo_until is None or request.undo_until <= now:
            raise Conflict("not_waivable", "only an erasure that waits to be taken back can be hurried")
        SubjectRequest.objects.filter(id=request.id).update(undo_until=now)
        HolderRun.objects.filter(request=request, status=RunStatus.PENDING).update(not_before=now)
        runs.audited(request, "undo_waived", by=by, day_only=True)
        transaction.on_commit(partial(on_waived, request.id), robust=True)


def may_be_taken_back(request: SubjectRequest, subject: Subject | None, asked_at: datetime | None = None) -> bool:
    """The rule of `take_back`, as things stand; `subject`: None once erased. Within the mini-program's tenant."""
    return _lifts(request, subject) or _given_up(request, subject) or _undoable(request, asked_at)


def _undoable(request: SubjectRequest, asked_at: datetime | None) -> bool:
    """Nothing of it has begun."""
    begun = HolderRun.objects.filter(~Q(status=RunStatus.PENDING) | Q(attempts__gt=0), request=request).exists()
    late = request.undo_until is not None and (asked_at or db_now()) >= request.undo_until
    if request.state == RequestState.IN_REVIEW:
        late = False  # nothing is done before an officer approves
    return request.closed_at is None and not begun and not late


def _lifts(request: SubjectRequest, subject: Subject | None) -> bool:
    """A restriction that stands."""
    restriction = request.kind == RequestKind.RESTRICTION and request.state == RequestState.COMPLETED
    return restriction and subject is not None


def _given_up(request: SubjectRequest, subject: Subject | None) -> bool:
    """A failed erasure or restriction of somebody still here, with no later one that keeps the gate closed."""
    kinds = ERASING if request.kind in ERASING else (RequestKind.RESTRICTION,)
    if request.kind not in kinds or request.state != RequestState.FAILED or subject is None:
        return False
    erasures = RequestSubject.objects.filter(subject=subject, kind__in=kinds)
    later = SubjectRequest.objects.filter(
        id__in=list(erasures.values_list("request_id", flat=True)), received_at__gt=request.received_at
    )
    closed_nothing = (RequestState.WITHDRAWN, RequestState.REJECTED, RequestState.VERIFYING)
    return not later.exclude(state__in=closed_nothing).exists()
