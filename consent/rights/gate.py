"""Closing and reopening the gate for all of a subject's purposes at once. The caller holds the subject's row.

The states' rows are locked in purpose order before they are updated, so that every batch in flight comes before (I2).
"""

import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime

from django.db.models import F, Q, QuerySet

from consent.journal import writing as journal
from consent.journal.entries import Kind
from consent.programs.tenancy import tenant
from consent.records.intents import announce, retract
from consent.records.models import ConsentState, WithdrawalIntent
from consent.records.queries import db_now
from consent.rights.models import ERASING, RequestKind, RequestState, RequestSubject, SubjectRequest
from consent.vault.models import Subject
from consent.webhooks import actions as webhooks
from consent.webhooks.models import Event

CLOSING = (*ERASING, RequestKind.RESTRICTION, RequestKind.OBJECTION)
"""Kinds that end something at once."""
REOPENING = (RequestState.IN_REVIEW, RequestState.APPROVED, RequestState.FAILED)
_STANDING = RequestState.COMPLETED
"""States from which an erasure or a restriction may be taken back or rejected; a completed restriction is lifted too."""


def lock(subject_id: int) -> datetime:
    """Wait for the batches in flight; the database's clock after them."""
    list(ConsentState.objects.select_for_update().filter(subject_id=subject_id).order_by("purpose_id"))
    return db_now()


def close_for_erasure(subject: Subject) -> None:
    """From the commit on nothing is stored of the subject."""
    lock(subject.id)
    journal.ended(subject, Kind.ERASURE)
    _states(subject).update(erasure_pending=True, version=F("version") + 1)
    Subject.objects.filter(id=subject.id).update(erasure_pending=True)
    WithdrawalIntent.objects.filter(subject=subject).delete()


def close_for_restriction(subject: Subject) -> None:
    """From the commit on nothing is stored of the subject, and what is held is not used."""
    restrict(subject, restricted=True)
    WithdrawalIntent.objects.filter(subject=subject).delete()


def reopen_after_erasure(subject: Subject) -> None:
    """An erasure taken back: grants stand again, from now on."""
    now = lock(subject.id)
    _states(subject).update(erasure_pending=False, version=F("version") + 1)
    _begin_anew(subject, now)
    Subject.objects.filter(id=subject.id).update(erasure_pending=False)


@contextmanager
def reopening(program_id: int, request_id: uuid.UUID) -> Iterator[None]:
    """Announce, before the block waits for locks, that the gate a request closed opens again: refused batches starve it
    else.

    Not for an erasure that is being carried out or is closed, whose gate stays as it is: its holders would count the
    intents. They are gone after the block, whatever came of it.
    """
    with tenant(program_id):
        restriction = Q(kind=RequestKind.RESTRICTION)
        opens = Q(kind__in=ERASING, state__in=REOPENING) | restriction & Q(state__in=(*REOPENING, _STANDING))
        request = SubjectRequest.objects.filter(opens, id=request_id, program_id=program_id)
        about = RequestSubject.objects.filter(request_id__in=request.values("id"))
        erasing = Q(id__in=about.filter(kind__in=ERASING).values("subject_id"), erasure_pending=True)
        restricted = Q(id__in=about.filter(restriction).values("subject_id"), restricted=True, erasure_pending=False)
        subject_id = Subject.objects.filter(erasing | restricted).values_list("id", flat=True).first()
        if subject_id is not None:
            announce(subject_id)
    with _retracted(program_id, subject_id):
        yield


@contextmanager
def closing(program_id: int, request_id: uuid.UUID) -> Iterator[None]:
    """The same before a request that has waited closes the gate: its requester is verified, or a law's hold is over."""
    with tenant(program_id):
        waits = (RequestState.VERIFYING, RequestState.PARTIALLY_COMPLETED)
        request = SubjectRequest.objects.filter(id=request_id, program_id=program_id, kind__in=CLOSING, state__in=waits)
        about = RequestSubject.objects.filter(request_id__in=request.values("id"))
        open_to = Subject.objects.filter(id__in=about.values("subject_id"), erasure_pending=False)
        subject_id = open_to.values_list("id", flat=True).first()
        if subject_id is not None:
            announce(subject_id)
    with _retracted(program_id, subject_id):
        yield


@contextmanager
def _retracted(program_id: int, subject_id: int | None) -> Iterator[None]:
    try:
        yield
    finally:
        if subject_id is not None:
            retract(program_id, subject_id)


def restrict(subject: Subject, *, restricted: bool) -> int:
    """Close the gate but keep what is held (or open it again, from now on); answers the purposes affected."""
    now = lock(subject.id)
    if restricted and not subject.restricted:
        journal.ended(subject, Kind.RESTRICTION)
    elif subject.restricted and not restricted:
        journal.opened(subject, Kind.RESTRICTION_LIFTED)
    changed = _states(subject).exclude(restricted=restricted).update(restricted=restricted, version=F("version") + 1)
    if subject.restricted and not restricted:
        _begin_anew(subject, now)
    if Subject.objects.filter(id=subject.id).exclude(restricted=restricted).update(restricted=restricted):
        webhooks.tell(subject, Event.RESTRICTED, {"restricted": restricted})
    return changed


def _begin_anew(subject: Subject, now: datetime) -> None:
    """Events from inside the gap stay refused: no grant, present or to come, of any purpose reaches back over `now`."""
    Subject.objects.filter(id=subject.id).update(barrier_at=now)
    _states(subject).update(barrier_at=now)
    _states(subject).filter(grant_from__lt=now).update(grant_from=now)


def _states(subject: Subject) -> QuerySet[ConsentState]:
    return ConsentState.objects.filter(subject=subject)
