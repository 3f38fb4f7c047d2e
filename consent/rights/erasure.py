"""The end of an erasure: one transaction reads every holder again, destroys the key and the subject, and completes."""

import uuid
from datetime import UTC, datetime, time

from django.db import connection
from django.db.models import Case, Value, When

from consent.journal import writing as journal
from consent.journal.entries import Kind
from consent.programs.tenancy import tenant
from consent.records.queries import Clock, db_now
from consent.rights import gate, legal_holds, runs
from consent.rights.holders import LAST_STAGE, PersonalDataHolder, holder_of, holders
from consent.rights.models import (
    ERASING,
    HolderRun,
    LegalHold,
    RequestState,
    RequestSubject,
    RunStatus,
    SubjectRequest,
)
from consent.rights.runs import Claimed, LeaseLost
from consent.vault.models import Subject

# What stays of a request names a day, no time: at low volume a time would point to the person.
_BLUR = """
    UPDATE subject_request
    SET received_at = date_trunc('day', received_at, 'UTC'), due_at = date_trunc('day', due_at, 'UTC'),
        extended_from = date_trunc('day', extended_from, 'UTC'), undo_until = date_trunc('day', undo_until, 'UTC'),
        closed_at = date_trunc('day', closed_at, 'UTC'),
        point_of_no_return_at = date_trunc('day', point_of_no_return_at, 'UTC'),
        rejection_delivered_at = date_trunc('day', rejection_delivered_at, 'UTC')
    WHERE id = ANY(%s)
"""
# The counts stay: the request's answer and its certificate say how many rows went, and a count names nobody.
_BLUR_RUNS = """
    UPDATE holder_run
    SET not_before = date_trunc('day', not_before, 'UTC'), finished_at = date_trunc('day', finished_at, 'UTC'),
        attempts = 0
    WHERE request_id = ANY(%s)
"""


class StillHeld(Exception):
    """Rows of the subject are left after its own holder has erased it."""


def day_only(at: datetime) -> bool:
    """Whether a time stands for a UTC day, whose midnight it is: more is not kept of what outlives its subject."""
    return at.astimezone(UTC).time() == time()


def begin(run: Claimed) -> None:
    """Make way for the run. Raises LeaseLost.

    The subject's other open requests stop, so that nothing is built beside the erasure: they end with it, or go on with what is
    left (runs.go_on). The first run to come here marks the point of no return and counts what every holder has, for the
    certificate.
    """
    with runs.step(run) as subject:
        for other in _others(subject, run.request_id):
            runs.stop(other)
        first = SubjectRequest.objects.filter(id=run.request_id, point_of_no_return_at__isnull=True)
        if first.update(point_of_no_return_at=Clock()):
            _note(run, "held_before")


def kept_by_law(run: Claimed) -> bool:
    """Whether a law keeps what is left of what the run is to erase; it then ends as held. Call within each of its steps: a
    hold may be made between two of them."""
    hold = legal_holds.standing(run.program_id, run.subject_id).get(run.holder)
    if hold is not None:
        runs.held(run, hold)
    return hold is not None


def _note(run: Claimed, column: str) -> int:
    """Keep how many rows each holder of the request has now; answers how many that is of all."""
    rows = {
        holder.identifier: holder.count(program_id=run.program_id, subject_id=run.subject_id) for holder in holders()
    }
    counted = Case(*(When(holder=name, then=Value(count)) for name, count in rows.items()))
    HolderRun.objects.filter(request_id=run.request_id, holder__in=rows).update(**{column: counted})
    return sum(rows.values())


def complete(run: Claimed) -> bool:
    """Everything that no law keeps, or nothing; False where a holder has rows again, or is to be told again, and goes to work
    again. Raises LeaseLost, StillHeld.

    What else the subject asked ends when nothing is left of them. A webhook that is told so has rows again by that.
    Where a law keeps something the subject stays, restricted, with its key; the last run is held with it.
    """
    with tenant(run.program_id):
        # FOR UPDATE: whoever is about to insert a row of this subject has committed, or will find no subject.
        subject = Subject.objects.select_for_update().filter(id=run.subject_id).first()
        request = runs.locked_open(run.program_id, run.request_id)
        if subject is None or request is None:
            raise LeaseLost
        runs.renew(run)
        others = _others(subject, request.id)
        left = _left(run, [holder for holder in holders() if holder.stage < LAST_STAGE])
        holds = legal_holds.standing(run.program_id, run.subject_id)
        free = [holder for holder in left if holder.identifier not in holds]
        if free or _undone(run):
            _put_back(run, request, free)
            return False
        kept = {name: holds[name] for name in [holder.identifier for holder in left] + [run.holder] if name in holds}
        if kept:
            _end_partly(run, request, subject, kept, others)
            return True
        for other in others:
            runs.close_without_data(other, day_only=True)
        if others and (told := _left(run, [holder for holder in holders() if holder.stage < LAST_STAGE])):
            _put_back(run, request, told)
            return False
        journal.ended(subject, Kind.TOMBSTONE)
        about = list(RequestSubject.objects.filter(subject=subject).values_list("request_id", flat=True))
        subject_holder = holder_of(run.holder)
        erased = subject_holder.erase(program_id=run.program_id, subject_id=run.subject_id, limit=1000)
        if not erased.finished or _note(run, "held_after"):
            raise StillHeld
        runs.advanced(run, erased.affected)
        runs.finished(run)
        runs.close(request, RequestState.COMPLETED)
        _end_held(about)
        _blur(about)
    return True


def _end_partly(
    run: Claimed, request: SubjectRequest, subject: Subject, kept: dict[str, LegalHold], others: list[SubjectRequest]
) -> None:
    """Nothing but storing and securing is allowed of what is kept (PIPL 47): the subject is restricted, the gate with it. What
    they asked beside it is answered with what is kept."""
    held = HolderRun.objects.filter(request=request)
    held.filter(status=RunStatus.HELD).exclude(holder__in=kept).update(status=RunStatus.DONE, hold=None)
    for holder, hold in kept.items():
        held.filter(holder=holder).update(status=RunStatus.HELD, hold=hold)
    runs.held(run, max(kept.values(), key=lambda hold: hold.until))
    _note(run, "held_after")
    for each in holders():
        each.restrict(subject=subject, restricted=True, now=db_now())
    gate.reopen_after_erasure(subject)
    if "consent.requests" not in kept:
        # What requests asked and put right quotes what is gone now. A refusal's text stays: it is still to be told.
        asked = RequestSubject.objects.filter(subject=subject).exclude(request_id__in=[other.id for other in others])
        asked.update(sealed=None, verified=None)
    runs.close(request, RequestState.PARTIALLY_COMPLETED)
    runs.go_on(subject)


def _end_held(request_ids: list[uuid.UUID]) -> None:
    """Earlier erasures of the subject, of which a law kept something, are complete with this one."""
    held = HolderRun.objects.filter(request_id__in=request_ids, status=RunStatus.HELD)
    held.update(status=RunStatus.DONE, hold=None, held_after=0)
    partly = SubjectRequest.objects.filter(id__in=request_ids, kind__in=ERASING, state=RequestState.PARTIALLY_COMPLETED)
    for request in partly.order_by("id"):
        runs.close(request, RequestState.COMPLETED)


def _undone(run: Claimed) -> bool:
    """Whether an earlier run was put back since this one was claimed, as a processor's that is told again."""
    earlier = HolderRun.objects.filter(request_id=run.request_id, stage__lt=run.stage)
    return earlier.filter(status__in=[RunStatus.PENDING, RunStatus.RUNNING]).exists()


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
        "hold": None,
    }
    for holder in left:
        HolderRun.objects.update_or_create(
            request=request,
            holder=holder.identifier,
            defaults=again,
            create_defaults={
                **again,
                "program_id": run.program_id,
                "stage": holder.stage,
                "held_before": holder.count(program_id=run.program_id, subject_id=run.subject_id),
            },
        )
    HolderRun.objects.filter(id=run.id).update(**again, lease_token=None)


def _others(subject: Subject, request_id: uuid.UUID) -> list[SubjectRequest]:
    """What else is open of the subject's, with the rows locked."""
    about = RequestSubject.objects.filter(subject=subject, open=True).exclude(request_id=request_id)
    ids = list(about.values_list("request_id", flat=True))
    rows = SubjectRequest.objects.select_for_update(no_key=True).filter(id__in=ids, closed_at__isnull=True)
    return list(rows.order_by("id"))


def _blur(request_ids: list[uuid.UUID]) -> None:
    with connection.cursor() as cursor:
        cursor.execute(_BLUR, [request_ids])
        cursor.execute(_BLUR_RUNS, [request_ids])
