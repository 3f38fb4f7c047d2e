"""Handing the package of a request to an officer; the data subject's own pages hand it to themselves."""

import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django import forms
from django.contrib import admin
from django.db import models
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils.translation import gettext_lazy as _
from unfold.widgets import UnfoldAdminSelectWidget

from consent import edge
from consent.admin.base import picked
from consent.admin.causes import Referring
from consent.errors import Conflict, NotFound
from consent.ledger.audit import audit
from consent.ledger.disclosures import disclosed
from consent.ledger.models import Recipient
from consent.programs.tenancy import tenant
from consent.records.queries import db_now
from consent.rights import barrier, minor_access, requesters, reveal, transfers
from consent.rights.models import Guarded, Package, Requester, RequestSubject, SubjectRequest
from consent.rights.renditions import Form, given, rendered
from consent.vault.identities import Vault
from consent.vault.models import Subject

PACKAGE_PERMISSION = "consent.view_package"
SOON = timedelta(days=1)
DECLINED = "transfer_declined"


class Reason(models.TextChoices):
    """Why an officer takes a package: a code, because free words in the audit log would come to name people."""

    DELIVERY = "delivery", _("to hand it to the data subject")
    HANDLER = "handler", _("to pass it on to the handler whom the person named")
    REVIEW = "review", _("to check it before it is handed over")
    AUTHORITY = "authority", _("an authority asks for it by law")


_RECIPIENTS = {
    Reason.DELIVERY: Recipient.SUBJECT,
    Reason.HANDLER: Recipient.HANDLER,
    Reason.REVIEW: Recipient.OFFICER,
    Reason.AUTHORITY: Recipient.AUTHORITY,
}


class ReleaseForm(Referring):
    """The package's form, and the officer's reason, with the reference of an authority's letter where it is that;
    `handler_named`: it may be passed on to one."""

    form = forms.ChoiceField(label=_("Form"), choices=Form.choices, initial=Form.PAGE, widget=UnfoldAdminSelectWidget)

    reason = forms.ChoiceField(label=_("Reason"), widget=UnfoldAdminSelectWidget)

    def __init__(self, data: Any, *, handler_named: bool) -> None:
        super().__init__(data)
        may = [(reason.value, reason.label) for reason in Reason if handler_named or reason != Reason.HANDLER]
        self.fields["reason"].choices = [("", _("Select value")), *may]  # type: ignore[attr-defined]


@dataclass(frozen=True)
class PackageStatus:
    """What a request's page says of its package; `state`: none, in_progress, ready, expired."""

    state: str
    expires_at: datetime | None = None


def status_of(program_id: int, request_id: uuid.UUID, *, now: datetime) -> PackageStatus:
    """Whether there is something to download."""
    package = package_of(program_id, request_id)
    if package is None:
        return PackageStatus("none")
    if not package.complete:
        return PackageStatus("in_progress")
    return PackageStatus("ready" if package.expires_at > now else "expired", package.expires_at)


def expiring(program_id: int, *, now: datetime) -> QuerySet[Package]:
    """Those that are erased within a day."""
    return Package.objects.filter(program_id=program_id, expires_at__lte=now + SOON)


class PackageFilter(admin.SimpleListFilter):
    """Requests whose package goes soon."""

    title = _("package")
    parameter_name = "package"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, Any]]:
        return [("expiring", _("erased within a day"))]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        program = picked(request)
        if program is None or self.value() != "expiring":
            return queryset
        return queryset.filter(id__in=expiring(program.pk, now=edge.now()).values("request_id"))


def release(
    *,
    program_id: int,
    request_id: uuid.UUID,
    form: Form,
    by: str,
    reason: Reason,
    reference: str,
    most: int,
    vault: Vault,
) -> Iterator[bytes] | None:
    """The package's pieces, and its audit entry, committed before the first piece is read. None where its subject is a minor
    and another officer has to approve first, which is asked for.

    Who takes it for anybody but its subject sees a person: they name what for, and are counted, as where the values are shown
    (`reference`, `most`: consent.rights.reveal).

    Raises NotFound where there is none (any more), Conflict while it is being made or its subject's data are closed to
    reading, or a guardian asked for who is 14 by now, and `transfer_declined`; PackageTooLarge; Invalid and RateLimited as consent.rights.reveal.reveal.
    """
    cause = _cause(reason, request_id, reference)
    if cause is not None:
        reveal.check_named(cause)
    with tenant(program_id):
        if cause is not None:
            reveal.refuse_more(by=by, most=most, now=db_now())
        package = package_of(program_id, request_id)
        if package is None:
            raise NotFound("not_found", "this request has no package")
        subject = Subject.objects.select_for_update(no_key=True).get(program_id=program_id, id=package.subject_id)
        barrier.refuse_opening(subject)
        # As transfers.decline locks it: of the two, one comes first and the other hears of it.
        request = SubjectRequest.objects.select_for_update(no_key=True).get(id=request_id)
        if reason == Reason.HANDLER and transfers.passing(request, now=db_now()) == transfers.Passing.DECLINED:
            raise Conflict(
                DECLINED, "the person was told that this is not passed on: it is given to no handler any more"
            )
        if reason in (Reason.DELIVERY, Reason.HANDLER):
            requesters.check_guardian(request.requester, subject, db_now())
        named = "" if cause is None else cause.reference
        if not minor_access.admitted(
            subject, what=Guarded.PACKAGE, reason=reason, request_id=request_id, by=by, reference=named
        ):
            return None
        pieces = rendered(vault, package, form)
        if cause is not None:
            reveal.note(cause, program_id=program_id, by=by)
        audit(
            program_id=program_id,
            actor=by,
            action="package.downloaded",
            target=f"request:{request_id}",
            details={"reason": reason.value, "form": form.value, **({"reference": named} if named else {})},
        )
        _disclose(request, form=form, by=by, reason=reason)
    return pieces


def _cause(reason: Reason, request_id: uuid.UUID, reference: str) -> reveal.Cause | None:
    """Why an officer sees the person; None where the package is handed to the person, who asked for it."""
    if reason == Reason.AUTHORITY:
        return reveal.Cause(reveal.Reason.AUTHORITY, reference=reference)
    return reveal.Cause(reveal.Reason.REQUEST, request_id=request_id) if reason == Reason.REVIEW else None


def _disclose(request: SubjectRequest, *, form: Form, by: str, reason: Reason) -> None:
    """To the log of disclosures: to whom the package goes. A handler whom a portability names is not told by name: what a
    person wrote stays sealed, and the log outlives it."""
    recipient = _RECIPIENTS[reason]
    if reason == Reason.DELIVERY and request.requester != Requester.SELF:
        recipient = Recipient.REPRESENTATIVE
    disclosed(
        program_id=request.program_id,
        recipient=recipient,
        ground=f"{request.kind}.{reason.value}",
        fields=given(request, form),
        subjects=1,
        target=f"request:{request.id}",
        by=by,
    )


def package_of(program_id: int, request_id: uuid.UUID) -> Package | None:
    """Found through the request's subject, which is indexed by request."""
    asked = RequestSubject.objects.filter(program_id=program_id, request_id=request_id).first()
    if asked is None:
        return None
    return Package.objects.filter(program_id=program_id, subject_id=asked.subject_id, request_id=request_id).first()
