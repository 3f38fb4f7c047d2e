"""What an officer decides on a request: approve or reject it while it is in review, extend its deadline while it is open.

Each has a page that says what it does and asks for the reasons; a POST of it does it.
"""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any

from django import forms
from django.conf import settings
from django.contrib import messages
from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpRequest, HttpResponseBase
from django.shortcuts import redirect
from django.template.response import TemplateResponse
from django.urls import URLPattern, path, reverse
from django.utils.translation import gettext_lazy as _
from unfold.widgets import (
    UnfoldAdminIntegerFieldWidget,
    UnfoldAdminSelectWidget,
    UnfoldAdminTextareaWidget,
    UnfoldAdminTextInputWidget,
)

from consent import edge
from consent.admin.base import Owned, officer
from consent.errors import NotFound, Problem
from consent.programs.tenancy import tenant
from consent.rights import rejections, requesters, review, tasks
from consent.rights.models import ERASING, ExtensionReason, RejectionReason, RequestState, SubjectRequest

if TYPE_CHECKING:
    from django.utils.functional import _StrPromise

DECIDE_PERMISSION, ERASE_PERMISSION = "consent.change_subjectrequest", "consent.approve_erasure"
_UNCHOSEN = ("", _("Select value"))


class ApproveForm(forms.Form):
    """Nothing to fill in: the page is the question."""


class RejectForm(forms.Form):
    """The reason as a code, and in words for the person."""

    reason = forms.ChoiceField(
        label=_("Reason"), choices=[_UNCHOSEN, *RejectionReason.choices], widget=UnfoldAdminSelectWidget
    )
    text = forms.CharField(
        label=_("What the person is told"),
        max_length=review.LONGEST_TEXT,
        widget=UnfoldAdminTextareaWidget(attrs={"rows": 6}),
    )


class VerifyForm(forms.Form):
    """How it was made sure who asks, and where the evidence is kept."""

    method = forms.ChoiceField(
        label=_("Method"), choices=[_UNCHOSEN, *requesters.Method.choices], widget=UnfoldAdminSelectWidget
    )
    reference = forms.CharField(
        label=_("Reference of the evidence"),
        max_length=requesters.LONGEST_REFERENCE,
        widget=UnfoldAdminTextInputWidget(attrs={"autocomplete": "off"}),
    )


class ExtendForm(forms.Form):
    """By how much, and why."""

    working_days = forms.IntegerField(
        label=_("Working days"),
        min_value=1,
        max_value=review.MOST_WORKING_DAYS,
        widget=UnfoldAdminIntegerFieldWidget,
    )
    reason = forms.ChoiceField(
        label=_("Reason"), choices=[_UNCHOSEN, *ExtensionReason.choices], widget=UnfoldAdminSelectWidget
    )


@dataclass(frozen=True)
class Decision:
    """A page's words, its form, and the action it comes to; `preview`: what comes of it for the person to read, shown first."""

    name: str
    title: "_StrPromise"
    told: "_StrPromise"
    done: "_StrPromise"
    icon: str
    variant: str
    form: type[forms.Form]
    act: Callable[[HttpRequest, SubjectRequest, dict[str, Any]], None]
    preview: Callable[[SubjectRequest, dict[str, Any]], rejections.Rejected] | None = None


def _approve(request: HttpRequest, asked: SubjectRequest, given: dict[str, Any]) -> None:
    review.approve(
        program_id=asked.program_id,
        request_id=asked.pk,
        by=officer(request),
        on_approved=tasks.hint,
    )


def _reject(request: HttpRequest, asked: SubjectRequest, given: dict[str, Any]) -> None:
    review.reject(
        vault=edge.vault(),
        program_id=asked.program_id,
        request_id=asked.pk,
        reason=RejectionReason(given["reason"]),
        text=given["text"],
        by=officer(request),
    )


def _refusal(asked: SubjectRequest, given: dict[str, Any]) -> rejections.Rejected:
    with tenant(asked.program_id):
        return rejections.previewed(asked, RejectionReason(given["reason"]), given["text"])


def _verify(request: HttpRequest, asked: SubjectRequest, given: dict[str, Any]) -> None:
    requesters.verify(
        vault=edge.vault(),
        program_id=asked.program_id,
        request_id=asked.pk,
        method=requesters.Method(given["method"]),
        reference=given["reference"],
        undo=settings.ZHIQING_ERASURE_UNDO,
        by=officer(request),
        on_due=tasks.hint,
    )


def _extend(request: HttpRequest, asked: SubjectRequest, given: dict[str, Any]) -> None:
    review.extend(
        program_id=asked.program_id,
        request_id=asked.pk,
        working_days=given["working_days"],
        reason=ExtensionReason(given["reason"]),
        by=officer(request),
    )


DECISIONS = (
    Decision(
        "verify",
        _("Verify who asks"),
        _(
            "The request goes on as if the person had filed it: it is carried out, or waits for approval where its kind is"
            " reviewed. An erasure's gate closes now, and the time in which it may be taken back begins. What you write is"
            " sealed with the person's own key."
        ),
        _("The requester is verified."),
        "verified_user",
        "primary",
        VerifyForm,
        _verify,
    ),
    Decision(
        "approve",
        _("Approve"),
        _(
            "The request is carried out at once, or when the time in which it may be taken back is over. An erasure removes"
            " everything held about the person and cannot be undone."
        ),
        _("The request is approved."),
        "check",
        "primary",
        ApproveForm,
        _approve,
    ),
    Decision(
        "reject",
        _("Reject"),
        _(
            "Recording goes on from now, under the consents that stand: those that a cancellation ended stay ended, and what was"
            " collected under them goes as after any withdrawal. Nothing else is erased. Data that a law keeps or that"
            " cannot be erased are stored only and used no further. Your backend hands the text to the person."
        ),
        _("The request is rejected."),
        "block",
        "danger",
        RejectForm,
        _reject,
        _refusal,
    ),
    Decision(
        "extend",
        _("Extend the deadline"),
        _("A deadline moves once, before it is over. The reason is told to whoever asks for the request's state."),
        _("The deadline is extended."),
        "more_time",
        "default",
        ExtendForm,
        _extend,
    ),
)

_NOT_DONE = _("It could not be done; nothing was changed.")
_REFUSED = {
    "already_approved": _("It has been approved meanwhile; nothing was changed."),
    "already_rejected": _("It has been rejected meanwhile; nothing was changed."),
    "own_request": _("You filed this request: another officer approves it."),
    "not_verified": _("It is not known yet who asks: verify them first, or reject because of that."),
    "not_verifying": _("The request is not being verified, or no longer; nothing was changed."),
    "guardian_not_needed": _("By its consents the data subject is not under 14: no guardian asks for them. Reject it."),
    "erasure_pending": _("The person is being erased; nothing was changed."),
    "request_open": _("A request of this kind is being carried out for the same person; nothing was changed."),
    "taken_back": _("The data subject has taken the request back meanwhile; nothing was changed."),
    "not_in_review": _("The request is not in review, or no longer; nothing was changed."),
    "nobody_known": _("Nothing is held about this person, so there is nothing to refuse: let the request go on."),
    "reason_of_another_kind": _("This reason is of another kind of request; nothing was changed."),
    "request_closed": _("The request is closed; nothing was changed."),
    "already_extended": _("The deadline has been extended before; nothing was changed."),
    "overdue": _("The deadline is over, and can no longer be extended."),
    **dict.fromkeys(
        (
            "consent_missing",
            "consent_refused",
            "consent_withdrawn",
            "consent_expired",
            "guardian_required",
            "renewal_required",
            "outside_consent",
        ),
        _("What is to be added may not be collected: the person does not consent to its purpose. Reject it."),
    ),
    "undeclared_attribute": _("What is to be added is in no notice that is in use. Reject it."),
    "restricted": _("The person's data are restricted; nothing was changed."),
    "identity_conflict": _("One of the new identifiers is another person's; nothing was changed."),
    "journal_unavailable": _("The journal takes nothing at the moment; nothing was changed. Try again soon."),
    "not_found": _("No notice is in force, so the person could not be told whom to complain to. Publish one first."),
}


def may_decide(request: HttpRequest, asked: SubjectRequest, decision: Decision) -> bool:
    """Whether the officer may take this decision, were it to be taken: to approve what erases takes a second permission."""
    erases = decision.name == "approve" and asked.kind in ERASING
    return request.user.has_perms([DECIDE_PERMISSION, *([ERASE_PERMISSION] if erases else [])])


def offered(request: HttpRequest, asked: SubjectRequest, *, now: datetime) -> list[Decision]:
    """What the officer may decide on the request as it stands."""
    fits = {
        "approve": asked.state == RequestState.IN_REVIEW,
        "reject": asked.state in (RequestState.IN_REVIEW, RequestState.VERIFYING),
        "verify": asked.state == RequestState.VERIFYING,
        "extend": asked.closed_at is None and asked.extended_from is None and now < asked.due_at,
    }
    return [decision for decision in DECISIONS if fits[decision.name] and may_decide(request, asked, decision)]


class Decided(Owned):
    """The pages below a request on which it is decided."""

    def get_urls(self) -> list[URLPattern]:
        own = [
            path(
                f"<uuid:object_id>/{decision.name}/",
                self._view(decision),
                name=f"consent_subjectrequest_{decision.name}",
            )
            for decision in DECISIONS
        ]
        return [*own, *super().get_urls()]

    def _view(self, decision: Decision) -> Callable[..., HttpResponseBase]:
        def view(request: HttpRequest, object_id: str) -> HttpResponseBase:
            return self.admin_site.admin_view(self.decision_view)(request, object_id, decision)

        view.model_admin = self  # type: ignore[attr-defined]  # as Django marks its own, for OfficersProgram
        return view

    def decision_view(self, request: HttpRequest, object_id: str, decision: Decision) -> HttpResponseBase:
        """What the decision does and what it asks for; a POST decides."""
        asked = self.get_object(request, str(object_id))
        if not self.has_view_permission(request, asked) or not request.user.has_perm(DECIDE_PERMISSION):
            raise PermissionDenied
        if asked is None:
            raise Http404
        if not may_decide(request, asked, decision):
            raise PermissionDenied
        form = decision.form(request.POST if request.method == "POST" else None)
        preview = None
        if form.is_valid() and "change" not in request.POST:
            if decision.preview is None or "preview" not in request.POST:
                return self._decide(request, asked, decision, form.cleaned_data)
            try:
                preview = decision.preview(asked, form.cleaned_data)
            except NotFound as problem:
                messages.warning(request, str(_REFUSED.get(problem.code, _NOT_DONE)))
        context = {
            **self.admin_site.each_context(request),
            "title": decision.title,
            "opts": self.opts,
            "original": asked,
            "decision": decision,
            "form": form,
            "appended": _appended(asked) if decision.name == "reject" else "",
            "previewed": decision.preview is not None,
            "preview": preview,
        }
        name = "decision" if preview is None else "decision_preview"
        response = TemplateResponse(request, f"consent/admin/{name}.html", context)
        response["Cache-Control"] = "no-store"
        return response

    def _decide(
        self, request: HttpRequest, asked: SubjectRequest, decision: Decision, given: dict[str, Any]
    ) -> HttpResponseBase:
        try:
            decision.act(request, asked, given)
        except Problem as problem:
            messages.warning(request, str(_REFUSED.get(problem.code, _NOT_DONE)))
        else:
            messages.success(request, str(decision.done))
        return redirect(reverse("admin:consent_subjectrequest_change", args=[asked.pk]))


def _appended(asked: SubjectRequest) -> str:
    """What the person reads below the officer's words, or nothing where there is no notice yet to take it from."""
    try:
        with tenant(asked.program_id):
            return rejections.ways_to_complain(asked)
    except NotFound:
        return ""
