"""Having a holder that stopped try again: one that waits after a failure at once, one that gave up with its request.

A request whose holder gave up is failed and closed. It opens again, with the deadline it had, and does what it had not done.
"""

import uuid
from collections.abc import Callable
from datetime import datetime, timedelta
from functools import partial

from django.db import transaction
from django.db.models import F

from consent.errors import Conflict, NotFound
from consent.programs.tenancy import tenant
from consent.records.models import ProfileAttribute
from consent.records.queries import db_now
from consent.rights import barrier, requesters, runs
from consent.rights.models import (
    ERASING,
    PACKAGED,
    WAITING,
    HolderRun,
    Package,
    RequestKind,
    RequestState,
    RequestSubject,
    RunStatus,
    SubjectRequest,
)
from consent.vault.models import Subject, SubjectIdentifier
from consent.webhooks import actions as webhooks

_NOT_STOPPED = {
    RunStatus.RUNNING: ("run_running", "a worker is at it"),
    RunStatus.DONE: ("run_done", "the holder has done all there was to do"),
    RunStatus.HELD: ("run_held", "a law keeps what is left; it goes on when the hold is over"),
}


def retry(
    *, program_id: int, run_id: int, package_kept: timedelta, by: str, on_due: Callable[[uuid.UUID], object]
) -> None:
    """Make the run due now, with its attempts before it; of a failed request all that it had not done.

    `package_kept`: how long a package that was begun stays from now on. `on_due` is called after the commit with the
    request. Raises NotFound; Conflict `run_running`, `run_done`, `run_held`, `run_not_stopped`, `request_closed`,
    `nobody_known`, `asked_again` where a later request took its place, and why it could not be filed now:
    `erasure_pending`, `restricted`, `guardian_not_needed`.
    """
    with tenant(program_id):
        request_id = (
            HolderRun.objects.filter(id=run_id, program_id=program_id).values_list("request_id", flat=True).first()
        )
        if request_id is None:
            raise NotFound("not_found", "this mini-program has no run with this id")
        request, subject = runs.locked(program_id, request_id)
        run = HolderRun.objects.select_for_update().get(id=run_id)
        now = db_now()
        if run.status in _NOT_STOPPED:
            raise Conflict(*_NOT_STOPPED[RunStatus(run.status)])
        if not stopped(run, request, now=now):
            raise Conflict("run_not_stopped", "the run is due already, or waits for its time or for an officer")
        if subject is None:
            raise Conflict("nobody_known", "nothing is held about the person of this request any more")
        if request.state == RequestState.FAILED:
            _open_again(request, subject, now, package_kept)
        else:
            HolderRun.objects.filter(id=run.pk).update(not_before=now, attempts=0)
        runs.audited(request, "holder_retried", by=by, day_only=request.kind in ERASING, holder=run.holder)
        transaction.on_commit(partial(on_due, request.id), robust=True)


def stopped(run: HolderRun, request: SubjectRequest, *, now: datetime) -> bool:
    """Whether it gave up, with its request, or waits after a failure."""
    if run.status == RunStatus.FAILED:
        return request.state == RequestState.FAILED
    waits = run.status == RunStatus.PENDING and run.error != "" and run.not_before is not None and run.not_before > now
    return waits and request.closed_at is None and request.state not in WAITING


def _open_again(request: SubjectRequest, subject: Subject, now: datetime, package_kept: timedelta) -> None:
    _check_free(request, subject, now)
    again = [RunStatus.FAILED, RunStatus.CANCELLED]
    if request.kind in PACKAGED:
        # The package is made anew, of one time; what is left of the first one does not expire under the work.
        again.append(RunStatus.DONE)
        Package.objects.filter(subject=subject, request_id=request.id).update(expires_at=now + package_kept)
    HolderRun.objects.filter(request=request, status__in=again).update(
        status=RunStatus.PENDING, not_before=now, attempts=0, error="", finished_at=None
    )
    SubjectRequest.objects.filter(id=request.id).update(
        state=RequestState.IN_PROGRESS, closed_at=None, reopened=F("reopened") + 1
    )
    RequestSubject.objects.filter(request_id=request.id).update(open=True)
    webhooks.tell_request(request, RequestState.IN_PROGRESS)


def _check_free(request: SubjectRequest, subject: Subject, now: datetime) -> None:
    """What could not be filed now cannot go on now either, and what was asked later is not overtaken by what was before.

    A claim of somebody else's that nobody verified is nothing the person asked: it stands in nobody's way.
    """
    kinds = ERASING if request.kind in ERASING else (request.kind,)
    about = RequestSubject.objects.filter(subject=subject, kind__in=kinds, scope="").exclude(request_id=request.id)
    later = SubjectRequest.objects.filter(
        id__in=list(about.values_list("request_id", flat=True)), received_at__gte=request.received_at
    )
    given_up = request.kind in ERASING and not subject.erasure_pending
    # One of before may have been verified since; and what a law kept took along what was to be put right.
    beside = about.filter(open=True).exists()
    stale = request.kind == RequestKind.RECTIFICATION and not _puts_right(request, subject)
    if given_up or beside or stale or later.exists():
        raise Conflict("asked_again", "the person has asked for this again since: see to that request")
    if subject.erasure_pending and request.kind not in ERASING:
        raise Conflict("erasure_pending", "the subject is being erased: nothing else can be carried out meanwhile")
    requesters.check_guardian(request.requester, subject, now)
    if request.kind in PACKAGED:
        barrier.refuse_reading(subject)


def _puts_right(request: SubjectRequest, subject: Subject) -> bool:
    """Whether what it asks is still there, and nothing that it has not done yet was written by others since."""
    left = set(request.runs.exclude(status=RunStatus.DONE).values_list("holder", flat=True))
    since = {
        "consent.profile": ProfileAttribute.objects.filter(subject=subject, updated_at__gt=request.received_at),
        "consent.subject": SubjectIdentifier.objects.filter(subject=subject, created_at__gt=request.received_at),
    }
    asks = RequestSubject.objects.filter(request_id=request.id, sealed__isnull=False).exists()
    return asks and not any(holder in left and rows.exists() for holder, rows in since.items())
