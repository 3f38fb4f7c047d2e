"""What a request ends at its filing, and what opens again when it is taken back or rejected.

All of it in the transaction that files or closes the request, with the subject's row held: from its commit on no event
of the subject gets in (I2). Whatever may have to wait for batches in flight is announced before (`records.intents`).
"""

from collections.abc import Sequence
from datetime import datetime, timedelta

from consent.errors import Conflict
from consent.journal import writing as journal
from consent.journal.entries import Kind
from consent.notices.models import Purpose
from consent.records.actions import OBJECTION, end_consents
from consent.records.models import AUTHORISING, ConsentRecord, ConsentState, PurposeErasure
from consent.records.queries import db_now
from consent.rights import gate, runs
from consent.rights.holders import holders
from consent.rights.models import (
    ERASING,
    HolderRun,
    RequestKind,
    RequestState,
    RequestSubject,
    RunStatus,
    SubjectRequest,
)
from consent.rights.rejections import GROUNDS
from consent.vault.identities import Vault
from consent.vault.models import Subject

METHODS = {RequestKind.OBJECTION: OBJECTION, RequestKind.CANCELLATION: "cancellation"}
"""How the records of a consent that a request ended say that it was."""
ITS_OWN = timedelta(hours=1)
"""So long after a cancellation may begin, the erasures that its withdrawals owe go ahead without it."""


def close(
    vault: Vault, subject: Subject, kind: str, *, purposes: Sequence[Purpose], locale: str, client_id: int | None
) -> list[ConsentRecord]:
    """What a request of this kind ends; answers the records of consents that it withdrew. `purposes`: an objection's."""
    ended: list[ConsentRecord] = []
    if kind == RequestKind.CANCELLATION:
        purposes = _standing(subject)
    if kind in METHODS and purposes:
        method = METHODS[RequestKind(kind)]
        ended = end_consents(vault, subject, purposes, method=method, locale=locale, client_id=client_id)
    if kind in ERASING:
        gate.close_for_erasure(subject)
    elif kind == RequestKind.RESTRICTION:
        gate.close_for_restriction(subject)
    return ended


def _standing(subject: Subject) -> list[Purpose]:
    states = ConsentState.objects.filter(subject=subject, state__in=AUTHORISING).order_by("purpose_id")
    return [state.purpose for state in states.select_related("purpose")]


def wait_for_the_whole(records: Sequence[ConsentRecord], until: datetime) -> None:
    """Leave what these withdrawals owe to the cancellation they came with, which erases it from `until` on, and not before."""
    for record in records:
        owed = PurposeErasure.objects.filter(
            subject_id=record.subject_id, purpose_id=record.purpose_id, version=record.version
        )
        owed.update(not_before=until + ITS_OWN, owed_from=until)


def begin(request: SubjectRequest, subject: Subject | None, ended: Sequence[ConsentRecord], *, by: str) -> bool:
    """Go on with a request whose closing is done; answers whether its runs are due at once. An objection is done."""
    if request.kind == RequestKind.OBJECTION:
        runs.close(request, RequestState.COMPLETED_NO_DATA if subject is None else RequestState.COMPLETED, by=by)
        return False
    if request.undo_until is not None:
        wait_for_the_whole(ended, request.undo_until)
    return not request.reviewed and (request.undo_until is None or request.undo_until <= db_now())


def reopen(subject: Subject, request: SubjectRequest) -> None:
    """The gate that the request closed opens from now on, and what an erasure has stopped goes on. Consents it withdrew stay
    withdrawn, and data that a rejection or a legal hold restricted stay so: that is not the subject's to lift (PIPL 47).

    Raises Conflict `erasure_pending`.
    """
    if request.kind in ERASING and subject.erasure_pending:
        runs.go_on(subject)
        gate.reopen_after_erasure(subject)
        journal.opened(subject, Kind.ERASURE_TAKEN_BACK)
        for holder in holders():
            holder.stand_again(subject=subject)
    if request.kind == RequestKind.RESTRICTION:
        _lift(subject)


def _lift(subject: Subject) -> None:
    if subject.erasure_pending:
        raise Conflict("erasure_pending", "the subject asked to be erased; take that request back first")
    if restricted_by_a_rejection(subject.id) or _restricted_by_a_hold(subject):
        return
    now = db_now()
    for holder in holders():
        holder.restrict(subject=subject, restricted=False, now=now)


def _restricted_by_a_hold(subject: Subject) -> bool:
    """An erasure has left what a law keeps."""
    ids = list(RequestSubject.objects.filter(subject=subject).values_list("request_id", flat=True))
    return HolderRun.objects.filter(request_id__in=ids, status=RunStatus.HELD).exists()


def restricted_by_a_rejection(subject_id: int) -> bool:
    """An erasure was refused because a law keeps the data, or because they cannot be erased."""
    about = RequestSubject.objects.filter(subject_id=subject_id, rejection__isnull=False)
    reasons = [reason for reason, ground in GROUNDS.items() if ground.restricts]
    ids = list(about.values_list("request_id", flat=True))
    return SubjectRequest.objects.filter(id__in=ids, rejection__in=reasons).exists()


def refuse_opening(subject: Subject) -> None:
    """Raises Conflict `erasure_pending`, and what `refuse_reading` raises: nothing that is held is shown or handed over."""
    if subject.erasure_pending:
        raise Conflict("erasure_pending", "the subject has asked for erasure, which closes their data to reading")
    refuse_reading(subject)


def refuse_reading(subject: Subject) -> None:
    """Raises Conflict `restricted` where a restriction that the subject asked for stands, packages included.

    One that a rejection set is not theirs to lift: they go on to see what is held.
    """
    if RequestSubject.objects.filter(subject=subject, kind=RequestKind.RESTRICTION, scope="", open=True).exists():
        raise Conflict("restricted", "the data are restricted: take the restriction back first, then ask for this")
