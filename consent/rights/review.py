"""Requests that an officer decides on: which go to review, and approving, rejecting and extending them.

A request in review is open: its gate is closed and its deadline runs, but its runs have no time and so are never due.
Each action locks the subject, then the request, so of two at once the first wins and the other is told what it was.
"""

import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial

from django.db import transaction

from consent.errors import Conflict, Invalid, invalid
from consent.ledger.audit import OFFICER, audit
from consent.programs.models import MiniProgram
from consent.programs.tenancy import tenant
from consent.records.queries import db_now
from consent.rights import barrier, gate, rejections, runs
from consent.rights.deadlines import extended
from consent.rights.holders import holders
from consent.rights.models import (
    ERASING,
    PACKAGED,
    TWO_OFFICERS,
    ExtensionReason,
    HolderRun,
    RejectionReason,
    RequestState,
    RequestSubject,
    ReviewRule,
    RunStatus,
    SubjectRequest,
)
from consent.vault.identities import Vault
from consent.vault.models import Subject
from consent.webhooks import actions as webhooks

REVIEWABLE = ERASING
MOST_WORKING_DAYS = 15
"""An extension is no longer than the deadline itself, and is given once."""
LONGEST_TEXT = 2_000
ABOUT_WHO_ASKS = (RejectionReason.IDENTITY, RejectionReason.SOMEBODY_ELSE)

_DECIDED = {
    RequestState.APPROVED: ("already_approved", "the request has been approved meanwhile"),
    RequestState.IN_PROGRESS: ("already_approved", "the request has been approved meanwhile"),
    RequestState.REJECTED: ("already_rejected", "the request has been rejected meanwhile"),
    RequestState.WITHDRAWN: ("taken_back", "the data subject has taken the request back meanwhile"),
}


def set_review(*, program_id: int, kind: str, on: bool, by: str) -> bool:
    """Have an officer decide on requests of this kind filed from now on, or no longer; answers whether that changed.

    What is in review stays there. Raises Invalid `kind_not_reviewable`.
    """
    if kind not in REVIEWABLE:
        raise Invalid("kind_not_reviewable", f"only these can be reviewed for now: {', '.join(REVIEWABLE)}")
    with tenant(program_id):
        if on:
            _, changed = ReviewRule.objects.get_or_create(program_id=program_id, kind=kind)
        else:
            changed = ReviewRule.objects.filter(program_id=program_id, kind=kind).delete()[0] > 0
        if changed:
            audit(
                program_id=program_id,
                actor=by,
                action="review.switched_on" if on else "review.switched_off",
                target=f"program:{program_id}",
                details={"kind": kind},
            )
    return changed


def reviewed_kinds(program_id: int) -> list[str]:
    """The kinds that go to review. Within the mini-program's tenant."""
    return list(ReviewRule.objects.filter(program_id=program_id).order_by("kind").values_list("kind", flat=True))


def approve(*, program_id: int, request_id: uuid.UUID, by: str, on_approved: Callable[[uuid.UUID], object]) -> None:
    """Have the request carried out: now, or once it may no longer be taken back.

    What an officer filed of the kinds that remove data another one approves; a constraint says so too. `on_approved` is
    called after the commit with a request that is due at once. Raises NotFound; Conflict `own_request`, `erasure_pending`,
    `restricted`, `already_approved`, `already_rejected`, `taken_back`, `not_in_review`.
    """
    with _deciding(program_id, request_id, RequestState.IN_REVIEW) as (request, subject):
        if subject is not None and subject.erasure_pending and request.kind not in ERASING:
            raise Conflict("erasure_pending", "the subject is being erased: nothing else can be carried out meanwhile")
        if subject is not None and request.kind in PACKAGED:
            barrier.refuse_reading(subject)
        if by == request.filed_by and by.startswith(OFFICER) and request.kind in TWO_OFFICERS:
            raise Conflict("own_request", "who filed the request does not approve it: another officer does")
        now = db_now()
        due = max(request.undo_until or now, now)
        HolderRun.objects.filter(request=request, status=RunStatus.PENDING).update(not_before=due)
        SubjectRequest.objects.filter(id=request.id).update(state=RequestState.APPROVED, approved_by=by)
        runs.audited(request, "approved", by=by, day_only=request.kind in ERASING)
        webhooks.tell_request(request, RequestState.APPROVED)
        if due == now:
            transaction.on_commit(partial(on_approved, request.id), robust=True)


def reject(
    *, vault: Vault, program_id: int, request_id: uuid.UUID, reason: RejectionReason, text: str, by: str
) -> None:
    """Refuse the request with a reason and words for the person, and open an erasure's gate again from now on.

    Data that a law keeps, or that cannot be erased, become restricted instead (PIPL 47). Raises Invalid
    `text_missing`, `text_too_long`; NotFound; Conflict as `approve`, `nobody_known`, `reason_of_another_kind`, and
    `not_verified` for a reason that is about the data while it is not known yet who asks.
    """
    written = _checked(text)
    decidable = (RequestState.IN_REVIEW, RequestState.VERIFYING)
    with gate.reopening(program_id, request_id), _deciding(program_id, request_id, *decidable) as (request, subject):
        if request.state == RequestState.VERIFYING and reason not in ABOUT_WHO_ASKS:
            raise Conflict("not_verified", "verify who asks first, or reject because of that")
        if subject is None and request.state == RequestState.VERIFYING:
            # Who asks was not verified, and there is nothing to refuse either.
            runs.close_without_data(request, by=by)
            return
        if subject is None:
            raise Conflict("nobody_known", "nothing is held about this person: let the request go on, and it completes")
        if not rejections.GROUNDS[reason].fits(request.kind):
            raise Conflict("reason_of_another_kind", "this reason is of another kind of request: take one that fits")
        refuse(vault, request, subject, reason, written, by=by)


def refuse(
    vault: Vault, request: SubjectRequest, subject: Subject, reason: RejectionReason, text: str, *, by: str
) -> None:
    """The same within a transaction that has locked both. Raises NotFound without a notice that names the contact."""
    sealed = rejections.seal_text(vault, request, subject, text)
    RequestSubject.objects.filter(subject=subject, request_id=request.id).update(rejection=sealed)
    runs.end_runs(request, RunStatus.CANCELLED)
    if rejections.GROUNDS[reason].restricts:
        for holder in holders():
            holder.restrict(subject=subject, restricted=True, now=db_now())
    if request.state != RequestState.VERIFYING:
        barrier.reopen(subject, request)
    runs.close(request, RequestState.REJECTED, by=by, rejection=reason.value)


def delivered(*, program_id: int, request_id: uuid.UUID, by: str) -> None:
    """Note that the person was handed the text of a refusal; the first time counts. Raises NotFound; Conflict
    `not_rejected`."""
    with tenant(program_id):
        request, _subject = runs.locked(program_id, request_id)
        if request.state != RequestState.REJECTED:
            raise Conflict("not_rejected", "the request was not refused: there is no text to hand over")
        if request.rejection_delivered_at is None:
            SubjectRequest.objects.filter(id=request.id).update(rejection_delivered_at=db_now())
            runs.audited(request, "rejection_delivered", by=by, day_only=request.kind in ERASING)


def extend(*, program_id: int, request_id: uuid.UUID, working_days: int, reason: ExtensionReason, by: str) -> None:
    """Put the deadline off, once and before it is over.

    Raises Invalid `extension_out_of_bounds`; NotFound; Conflict `request_closed`, `already_extended`, `overdue`.
    """
    if not 1 <= working_days <= MOST_WORKING_DAYS:
        raise invalid(
            "extension_out_of_bounds", f"a deadline moves by 1 to {MOST_WORKING_DAYS} working days", "/working_days"
        )
    with tenant(program_id):
        request, _subject = runs.locked(program_id, request_id)
        if request.closed_at is not None:
            raise Conflict("request_closed", "the request is closed: its deadline is met or over")
        if request.extended_from is not None:
            raise Conflict("already_extended", "the deadline was moved before; it moves once")
        if db_now() >= request.due_at:
            raise Conflict("overdue", "the deadline is over: it could have been moved before")
        zone = MiniProgram.objects.get(id=program_id).zone
        SubjectRequest.objects.filter(id=request.id).update(
            due_at=extended(request.due_at, working_days, zone=zone),
            extended_from=request.due_at,
            extension=reason,
        )
        day_only = request.kind in ERASING
        runs.audited(
            request, "extended", by=by, day_only=day_only, extension=reason.value, working_days=str(working_days)
        )
        webhooks.tell_request(request, request.state)


@contextmanager
def _deciding(
    program_id: int, request_id: uuid.UUID, *decidable: RequestState
) -> Iterator[tuple[SubjectRequest, Subject | None]]:
    """One transaction on a request in such a state and its subject, both locked. Raises what `approve` does."""
    with tenant(program_id):
        request, subject = runs.locked(program_id, request_id)
        if request.state not in decidable:
            code, detail = _DECIDED.get(
                RequestState(request.state), ("not_in_review", "the request is not in review, or no longer")
            )
            raise Conflict(code, detail)
        yield request, subject


def _checked(text: str) -> str:
    written = text.strip()
    if not written:
        raise invalid("text_missing", "say to the person why the request is rejected", "/text")
    if len(written) > LONGEST_TEXT:
        raise invalid("text_too_long", f"the text has {LONGEST_TEXT} characters at most", "/text")
    return written
