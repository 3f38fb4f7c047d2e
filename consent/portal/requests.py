"""A data subject's requests as their pages show them: their own, and nobody else's."""

import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import TYPE_CHECKING, Any

from django.utils.translation import gettext_lazy as _

from consent.errors import Forbidden, NotFound
from consent.ledger.audit import audit
from consent.ledger.disclosures import disclosed
from consent.ledger.models import Recipient
from consent.portal import ranges, sessions
from consent.portal.consents import of
from consent.portal.ranges import Part, Wanted
from consent.portal.sessions import Visit
from consent.programs.tenancy import tenant
from consent.records.queries import db_now
from consent.rights import (
    actions,
    barrier,
    fulfilment,
    legal_holds,
    packages,
    queries,
    rejections,
    review,
    taking_back,
    transfers,
)
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
from consent.rights.renditions import Form, forms, given, rendered
from consent.vault.identities import Vault

if TYPE_CHECKING:
    from django.utils.functional import _StrPromise

LISTED = 50
"""So many requests are listed at most."""
SUBJECT = "subject"
"""The actor of audit entries that a data subject's own act makes: whose it was, they do not say."""

FILED_HERE: Mapping[str, "_StrPromise"] = {
    RequestKind.COPY: _("A copy of everything that is held about you, to read and to keep"),
    RequestKind.PORTABILITY: _(
        "What you gave, and what was recorded of you with your consent, in a form that another service can take over"
    ),
    RequestKind.EXPLANATION: _("An explanation of the rules by which your information is processed"),
    RequestKind.RESTRICTION: _(
        "Your information is stored from now on and used for nothing else, until you say otherwise"
    ),
    RequestKind.OBJECTION: _(
        "Your information is no longer used for what you choose here, and what was collected for it is erased"
    ),
    RequestKind.ERASURE: _("Everything that is held about you is erased for good"),
    RequestKind.CANCELLATION: _(
        "Your account here is closed, and everything that is held about you is erased for good"
    ),
}
"""Kinds that are filed on a page of their own, and what comes of each. A rectification says what is right, on the page of the data."""


@dataclass(frozen=True)
class RequestShown:
    """`runs`: each holder's title, how far it has come, and what is told where a law keeps what it has; `ready_until`: how
    long its package can be fetched, None where there is none, and `forms` in which; `passing`: how a transfer to a handler
    stands, None of anything else."""

    request: SubjectRequest
    runs: list[tuple[str, HolderRun, str]]
    rejection: Rejected | None
    ready_until: datetime | None
    forms: list[Form]
    passing: transfers.Passing | None
    undoable: bool
    waivable: bool


def requests(visit: Visit) -> tuple[list[SubjectRequest], bool]:
    """The newest, LISTED at most, and whether there are others."""
    with tenant(visit.program_id):
        found = queries.requests_of(visit.program_id, [of(visit).id], limit=LISTED + 1)
    return found[:LISTED], len(found) > LISTED


def file(
    vault: Vault,
    visit: Visit,
    kind: str,
    *,
    terms: Terms,
    on_filed: Callable[[uuid.UUID], object],
    changes: Changes | None = None,
    purposes: Sequence[str] = (),
    recipient: Mapping[str, Any] | None = None,
) -> uuid.UUID:
    """Answers the request's id. Raises what `actions.file_request` raises.

    A transfer rests on an identity that was verified (PIPL 45): without a login of this moment an officer sees to it.
    """
    with tenant(visit.program_id):
        named = {"subject_id": str(of(visit).pseudonym)}
        at = db_now()
    how = "portal_login_code" if visit.stepped_up else "portal"
    verified = visit.stepped_up or kind != RequestKind.PORTABILITY
    asked = Asked(
        kind=kind,
        locale=visit.locale,
        changes=changes,
        purposes=purposes,
        recipient=dict(recipient) if recipient is not None else None,
        vouched="portal",
        verification={"method": how, "at": at.isoformat()} if verified else None,
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
    """Whoever reads why their own request was refused was told so (PIPL 50). What was written to others who asked for them is
    theirs to read; its ground is told here too.

    Raises NotFound for somebody else's.
    """
    with tenant(visit.program_id):
        _own(visit, request_id)
        request, runs = queries.request_of(visit.program_id, request_id)
        rejection = rejections.told(vault, request)
        packages_of = Package.objects.filter(subject_id=visit.subject_id, request_id=request_id, complete=True)
        undoable = taking_back.may_be_taken_back(request, of(visit))
        now = db_now()
        passing = transfers.passing(request, now=now)
        ready = packages_of.filter(expires_at__gt=now).first()
        offered = forms(vault, ready) if ready is not None else []
    own = request.requester == Requester.SELF
    if own and rejection is not None and rejection.text is not None and rejection.delivered_at is None:
        review.delivered(program_id=visit.program_id, request_id=request_id, by=SUBJECT)
    titles = {holder.identifier: str(holder.title) for holder in holders()}
    return RequestShown(
        request=request,
        runs=[(titles.get(run.holder, run.holder), run, _kept(run, visit)) for run in runs],
        rejection=rejection if own or rejection is None else replace(rejection, text=None),
        ready_until=ready.expires_at if ready is not None else None,
        forms=offered,
        passing=passing,
        waivable=request.state == RequestState.APPROVED and request.undo_until is not None and request.undo_until > now,
        undoable=undoable,
    )


def _kept(run: HolderRun, visit: Visit) -> str:
    return "" if run.hold is None else legal_holds.told(run.hold, visit.locale)


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


@dataclass(frozen=True)
class Handed:
    """A package's bytes as they are read. `part`: which ones of the document; None of a form that is made while it is read,
    whose length nobody knows."""

    pieces: Iterator[bytes]
    part: Part | None


def package(
    vault: Vault, visit: Visit, request_id: uuid.UUID, form: Form, *, wanted: Wanted | None, read: bool
) -> Handed:
    """The package or a part of it, logged before the first piece is read; `read`: it is, and not only asked about.

    Raises Forbidden `step_up_required`; NotFound where there is none (any more); Conflict while it is being made, or where the
    subject's data are closed to reading; RangeBeyond.
    """
    require_step_up(visit)
    with tenant(visit.program_id):
        _own(visit, request_id)
        held = Package.objects.filter(subject_id=visit.subject_id, request_id=request_id).first()
        if held is None:
            raise NotFound("not_found", "this request has no package")
        barrier.refuse_opening(of(visit))
        handed = _handed(vault, held, form, wanted)
        if read:
            _log(visit, SubjectRequest.objects.get(id=request_id), form, handed.part)
    return handed


def _handed(vault: Vault, held: Package, form: Form, wanted: Wanted | None) -> Handed:
    if form is not Form.DOCUMENT:
        return Handed(rendered(vault, held, form), None)
    document = packages.document(vault, held)
    part = ranges.part(wanted, length=document.length, name=document.tag)
    return Handed(document.pieces(part.span or range(document.length)), part)


def _log(visit: Visit, request: SubjectRequest, form: Form, part: Part | None) -> None:
    """That the package was fetched: in the log of disclosures once a session, in the audit log each time but where a download of
    the session goes on. Under the tenant."""
    before = sessions.fetched(visit, f"{request.id}.{form.value}")
    goes_on = part is not None and part.span is not None and part.span.start > 0
    target = f"request:{request.id}"
    if not (before and goes_on):
        audit(
            program_id=request.program_id,
            actor=SUBJECT,
            action="package.downloaded",
            target=target,
            details={"reason": "portal", "form": form.value},
        )
    if not before:
        disclosed(
            program_id=request.program_id,
            recipient=Recipient.SUBJECT,
            ground=f"{request.kind}.portal",
            fields=given(request, form),
            subjects=1,
            target=target,
            by=SUBJECT,
        )


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
