"""The end of an erasure: one transaction reads every holder again, destroys the key and the subject, and completes."""

import uuid

from django.db import connection

from consent.errors import Conflict
from consent.programs.tenancy import tenant
from consent.records.queries import db_now
from consent.rights import runs
from consent.rights.holders import LAST_STAGE, PersonalDataHolder, holder_of, holders
from consent.rights.models import HolderRun, RequestState, RequestSubject, RunStatus, SubjectRequest
from consent.rights.runs import Claimed, LeaseLost
from consent.vault.models import Subject

# What stays of a request names a day, no time: at low volume a time would point to the person.
_BLUR = """
    UPDATE subject_request
    SET received_at = date_trunc('day', received_at, 'UTC'), due_at = date_trunc('day', due_at, 'UTC'),
        extended_from = date_trunc('day', extended_from, 'UTC'), undo_until = date_trunc('day', undo_until, 'UTC'),
        closed_at = date_trunc('day', closed_at, 'UTC'),
        rejection_delivered_at = date_trunc('day', rejection_delivered_at, 'UTC')
    WHERE id = ANY(%s)
"""
# `affected` stays: the request's answer and its certificate say how many rows went, and a count names nobody.
_BLUR_RUNS = """
    UPDATE holder_run
    SET not_before = date_trunc('day', not_before, 'UTC'), finished_at = date_trunc('day', finished_at, 'UTC'),
        attempts = 0
    WHERE request_id = ANY(%s)
"""


class StillHeld(Exception):
    """Rows of the subject are left after its own holder has erased it."""


def retained(subject: Subject, holder: PersonalDataHolder) -> None:
    """Raises Conflict `retention_ground` where a law obliges the holder to keep what it has (see PersonalDataHolder)."""
    if holder.retention_ground(subject=subject) is not None:
        raise Conflict("retention_ground", "a law obliges to keep these data, and keeping them restricted is to come")


def make_way(run: Claimed) -> None:
    """Close the subject's other open requests, so that nothing is built beside the erasure."""
    with runs.step(run) as subject:
        _close_others(subject, run.request_id)


def complete(run: Claimed) -> bool:
    """Everything or nothing; False where a holder has rows again, and goes to work again. Raises LeaseLost, StillHeld."""
    with tenant(run.program_id):
        # FOR UPDATE: whoever is about to insert a row of this subject has committed, or will find no subject.
        subject = Subject.objects.select_for_update().filter(id=run.subject_id).first()
        request = runs.locked_open(run.program_id, run.request_id)
        if subject is None or request is None:
            raise LeaseLost
        runs.hold(run)
        _close_others(subject, request.id)
        left = _left(run, [holder for holder in holders() if holder.stage < LAST_STAGE])
        if left:
            _put_back(run, request, left)
            return False
        about = list(RequestSubject.objects.filter(subject=subject).values_list("request_id", flat=True))
        subject_holder = holder_of(run.holder)
        retained(subject, subject_holder)
        erased = subject_holder.erase(program_id=run.program_id, subject_id=run.subject_id, limit=1000)
        if not erased.finished or _left(run, holders()):
            raise StillHeld
        runs.advanced(run, erased.affected)
        runs.finished(run)
        runs.close(request, RequestState.COMPLETED)
        _blur(about)
    return True


def _left(run: Claimed, among: list[PersonalDataHolder]) -> list[PersonalDataHolder]:
    return [holder for holder in among if holder.count(program_id=run.program_id, subject_id=run.subject_id)]


def _put_back(run: Claimed, request: SubjectRequest, left: list[PersonalDataHolder]) -> None:
    """The holders that have rows again, and the last run after them, are due again. It is no failed attempt."""
    again = {
        "status": RunStatus.PENDING,
        "not_before": db_now() + runs.wait(request),
        "finished_at": None,
        "lease_until": None,
        "attempts": 0,
    }
    for holder in left:
        HolderRun.objects.update_or_create(
            request=request,
            holder=holder.identifier,
            defaults=again,
            create_defaults={**again, "program_id": run.program_id, "stage": holder.stage},
        )
    HolderRun.objects.filter(id=run.id).update(**again, lease_token=None)


def _close_others(subject: Subject, request_id: uuid.UUID) -> None:
    about = RequestSubject.objects.filter(subject=subject, open=True).exclude(request_id=request_id)
    ids = list(about.values_list("request_id", flat=True))
    rows = SubjectRequest.objects.select_for_update(no_key=True).filter(id__in=ids, closed_at__isnull=True)
    for other in rows.order_by("id"):
        runs.close_without_data(other, day_only=True)


def _blur(request_ids: list[uuid.UUID]) -> None:
    with connection.cursor() as cursor:
        cursor.execute(_BLUR, [request_ids])
        cursor.execute(_BLUR_RUNS, [request_ids])
