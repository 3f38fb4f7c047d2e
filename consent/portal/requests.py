"""A data subject's requests as their pages show them: their own, and nobody else's."""

import uuid
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING

from django.utils.translation import gettext_lazy as _

from consent.errors import Forbidden, NotFound
from consent.ledger.audit import audit
from consent.ledger.disclosures import disclosed
from consent.ledger.models import Recipient
from consent.portal.consents import of
from consent.portal.sessions import Visit
from consent.programs.tenancy import tenant
from consent.records.queries import db_now
from consent.rights import actions, barrier, fulfilment, queries, rejections, review, taking_back
from consent.rights.actions import Asked, Terms
from consent.rights.holders import Changes, holders
from consent.rights.models import (
    HolderRun,
    Package,
    Requester,
    RequestKind,
    RequestState,
    RequestSubject,
    SubjectRequest,
)
from consent.rights.rejections import Rejected
from consent.rights.renditions import RENDITIONS, Form, given
from consent.vault.identities import Vault

if TYPE_CHECKING:
    from django.utils.functional import _StrPromise

SUBJECT = "subject"
"""The actor of audit entries that a data subject's own act makes: whose it was, they do not say."""

FILED_HERE: Mapping[str, "_StrPromise"] = {
    RequestKind.COPY: _("A copy of everything that is held about you, to read and to keep"),
    RequestKind.EXPLANATION: _("An explanation of the rules by which your information is processed"),
    RequestKind.RESTRICTION: _(
        "Your information is stored from now on and used for nothing else, until you say otherwise"
    ),
    RequestKind.ERASURE: _("Everything that is held about you is erased for good"),
    RequestKind.CANCELLATION: _(
        "Your account here is closed, and everything that is held about you is erased for good"
    ),
}
"""Kinds that need no more than a tap, and what comes of each. A rectification says what is right, on the page of the data."""


@dataclass(frozen=True)
class RequestShown:
    """`runs`: how far each holder has come; `ready_until`: how long its package can be fetched, None where there is none."""

    request: SubjectRequest
    runs: list[tuple[str, HolderRun]]
    rejection: Rejected | None
    ready_until: datetime | None
    undoable: bool
    waivable: bool


def requests(visit: Visit) -> list[SubjectRequest]:
    """Newest first."""
    with tenant(visit.program_id):
        return queries.requests_of(visit.program_id, [of(visit).id])


def file(
    vault: Vault,
    visit: Visit,
    kind: str,
    *,
    terms: Terms,
    on_filed: Callable[[uuid.UUID], object],
    changes: Changes | None = None,
) -> uuid.UUID:
    """Answers the request's id. Raises what `actions.file_request` raises."""
    with tenant(visit.program_id):
        named = {"subject_id": str(of(visit).pseudonym)}
        at = db_now()
    how = "portal_login_code" if visit.stepped_up else "portal"
    asked = Asked(
        kind=kind,
        locale=visit.locale,
        changes=changes,
        vouched="portal",
        verification={"method": how, "at": at.isoformat()},
    )
    filed = actions.file_request(
        vault=vault,
        program_id=visit.program_id,
        identifiers=named,
        asked=asked,
        terms=terms,
        by=f"client:{visit.client_id}",
        on_filed=on_filed,
        client_id=visit.client_id,
    )
    return filed.request_id


def request_shown(vault: Vault, visit: Visit, request_id: uuid.UUID) -> RequestShown:
    """Whoever reads why their own request was refused was told so (PIPL 50); what others asked for them, those are told.

    Raises NotFound for somebody else's.
    """
    with tenant(visit.program_id):
        _own(visit, request_id)
        request, runs = queries.request_of(visit.program_id, request_id)
        rejection = rejections.told(vault, request)
        package = Package.objects.filter(subject_id=visit.subject_id, request_id=request_id, complete=True)
        now = db_now()
        ready = package.filter(expires_at__gt=now).values_list("expires_at", flat=True).first()
    own = request.requester == Requester.SELF
    if own and rejection is not None and rejection.text is not None and rejection.delivered_at is None:
        review.delivered(program_id=visit.program_id, request_id=request_id, by=SUBJECT)
    titles = {holder.identifier: str(holder.title) for holder in holders()}
    standing = request.kind == RequestKind.RESTRICTION and request.state == RequestState.COMPLETED
    return RequestShown(
        request=request,
        runs=[(titles.get(run.holder, run.holder), run) for run in runs],
        rejection=rejection if own else None,
        ready_until=ready,
        waivable=request.state == RequestState.APPROVED and request.undo_until is not None and request.undo_until > now,
        undoable=standing or (request.closed_at is None and request.point_of_no_return_at is None),
    )


def take_back(visit: Visit, request_id: uuid.UUID) -> None:
    """Raises NotFound for somebody else's, and what `taking_back.take_back` raises."""
    with tenant(visit.program_id):
        _own(visit, request_id)
    taking_back.take_back(program_id=visit.program_id, request_id=request_id, by=SUBJECT)


def waive_undo(visit: Visit, request_id: uuid.UUID, *, on_waived: Callable[[uuid.UUID], object]) -> None:
    """Raises Forbidden `step_up_required`, NotFound for somebody else's, and what `taking_back.waive` raises."""
    require_step_up(visit)
    with tenant(visit.program_id):
        _own(visit, request_id)
    taking_back.waive(program_id=visit.program_id, request_id=request_id, by=SUBJECT, on_waived=on_waived)


def package(vault: Vault, visit: Visit, request_id: uuid.UUID, form: Form) -> Iterator[bytes]:
    """The package's pieces, and its audit entry, committed before the first piece is read.

    Raises Forbidden `step_up_required`; NotFound where there is none (any more); Conflict while it is being made, or where the
    subject's data are closed to reading.
    """
    require_step_up(visit)
    with tenant(visit.program_id):
        _own(visit, request_id)
        held = Package.objects.filter(subject_id=visit.subject_id, request_id=request_id).first()
        if held is None:
            raise NotFound("not_found", "this request has no package")
        barrier.refuse_opening(of(visit))
        request = SubjectRequest.objects.get(id=request_id)
        pieces = RENDITIONS[form].stream(vault, held)
        audit(
            program_id=visit.program_id,
            actor=SUBJECT,
            action="package.downloaded",
            target=f"request:{request_id}",
            details={"reason": "portal", "form": form.value},
        )
        disclosed(
            program_id=visit.program_id,
            recipient=Recipient.SUBJECT,
            ground=f"{request.kind}.portal",
            fields=given(request, form),
            subjects=1,
            target=f"request:{request_id}",
            by=SUBJECT,
        )
    return pieces


def stands(request_id: uuid.UUID) -> SubjectRequest:
    """What anybody may read who knows a request's id: nothing of whom it is about. Raises NotFound."""
    program_id = fulfilment.program_of(request_id)
    if program_id is None:
        raise NotFound("not_found", "there is no request with this id")
    with tenant(program_id):
        return SubjectRequest.objects.get(program_id=program_id, id=request_id)


def require_step_up(visit: Visit) -> None:
    if not visit.stepped_up:
        raise Forbidden(
            "step_up_required", "open this page from the mini-program again: this needs a login of this moment"
        )


def _own(visit: Visit, request_id: uuid.UUID) -> None:
    about = RequestSubject.objects.filter(subject_id=visit.subject_id, request_id=request_id)
    if not about.exists():
        raise NotFound("not_found", "you have no request with this id")
