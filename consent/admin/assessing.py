"""The pages below a purpose on which its impact assessment is recorded, and it is activated or ended."""

from collections.abc import Sequence
from typing import Any

from django import forms
from django.contrib import messages
from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpRequest, HttpResponseBase
from django.shortcuts import redirect
from django.template.response import TemplateResponse
from django.urls import URLPattern, path, reverse
from django.utils.text import capfirst
from django.utils.timezone import localtime
from django.utils.translation import gettext, ngettext
from django.utils.translation import gettext_lazy as _
from unfold.widgets import (
    UnfoldAdminCheckboxSelectMultipleWidget,
    UnfoldAdminSelectWidget,
    UnfoldAdminTextInputWidget,
)

from consent import edge
from consent.admin.base import Owned, officer, own_page
from consent.errors import Problem
from consent.notices import assessments
from consent.notices.models import Conclusion, Ground, Purpose
from consent.programs.tenancy import tenant

ASSESS_PERMISSION, ACTIVATE_PERMISSION = "consent.add_impactassessment", "consent.change_purpose"
_REFUSED = {
    "assessed_in_the_future": _("Record an assessment once it is done; nothing was recorded."),
    "assessment_recorded": _(
        "Another assessment is recorded under this reference, or one that looked at less. An assessment is never changed:"
        " record this one under a reference of its own. Nothing was recorded."
    ),
    "assessment_missing": _("An impact assessment is missing; the purpose stays as it is."),
    "mechanism_missing": _(
        "The notice does not say by what the information may go abroad; publish a version that does."
    ),
    "mechanism_not_valid": _("No cross-border mechanism that is valid today is recorded; the purpose stays as it is."),
    "purpose_not_told": _("No notice tells of the purpose."),
}


class AssessForm(forms.Form):
    """What an assessment looked at and came to; the document itself stays with the controller."""

    reference = forms.CharField(label=capfirst(_("reference")), max_length=200, widget=UnfoldAdminTextInputWidget)
    assessed_on = forms.DateField(
        label=capfirst(_("assessed on")), widget=UnfoldAdminTextInputWidget(attrs={"type": "date"})
    )
    covers = forms.MultipleChoiceField(
        label=capfirst(_("what it looked at")), choices=Ground.choices, widget=UnfoldAdminCheckboxSelectMultipleWidget
    )
    conclusion = forms.ChoiceField(
        label=capfirst(_("conclusion")),
        choices=[("", _("Select value")), *Conclusion.choices],
        widget=UnfoldAdminSelectWidget,
    )
    document_sha256 = forms.RegexField(
        "^[0-9a-f]{64}$",
        label=capfirst(_("sha256 of the document")),
        required=False,
        empty_value=None,
        widget=UnfoldAdminTextInputWidget,
    )


class QuestionForm(forms.Form):
    """Nothing to fill in: the page is the question."""


class Assessed(Owned):
    """A purpose's own pages."""

    def get_urls(self) -> list[URLPattern]:
        own = [
            path("<int:object_id>/assess/", own_page(self, self.assess_view), name="consent_purpose_assess"),
            path("<int:object_id>/activate/", own_page(self, self.activate_view), name="consent_purpose_activate"),
            path("<int:object_id>/end/", own_page(self, self.end_view), name="consent_purpose_end"),
        ]
        return [*own, *super().get_urls()]

    def _purpose(self, request: HttpRequest, object_id: int, permission: str) -> Purpose:
        """Raises PermissionDenied, Http404."""
        purpose: Purpose | None = self.get_object(request, str(object_id))
        if not self.has_view_permission(request, purpose) or not request.user.has_perm(permission):
            raise PermissionDenied
        if purpose is None:
            raise Http404
        return purpose

    def assess_view(self, request: HttpRequest, object_id: int) -> HttpResponseBase:
        """Asks for the assessment; a POST records it, for good."""
        purpose = self._purpose(request, object_id, ASSESS_PERMISSION)
        form = AssessForm(request.POST if request.method == "POST" else None)
        form.initial = {"covers": standing(purpose)["needed"]}
        if form.is_valid():
            try:
                recorded = assessments.record(
                    program_id=purpose.program_id,
                    purpose=purpose.code,
                    by=officer(request),
                    today=localtime(edge.now()).date(),
                    **form.cleaned_data,
                )
            except Problem as problem:
                return self._refused(request, purpose, problem)
            if recorded:
                return self._done(request, purpose, gettext("The assessment is recorded."))
            messages.warning(request, gettext("This assessment was recorded before; nothing was changed."))
            return redirect(reverse("admin:consent_purpose_change", args=[purpose.pk]))
        told = [
            gettext("An assessment is kept for good, and neither changed nor deleted. Of several the newest counts.")
        ]
        if purpose.active:
            told += [gettext("One that came to not acceptable ends the purpose at once."), _ends()]
        return self._page(request, purpose, form, gettext("Record an assessment"), told)

    def activate_view(self, request: HttpRequest, object_id: int) -> HttpResponseBase:
        """The page is the question; a POST activates."""
        purpose = self._purpose(request, object_id, ACTIVATE_PERMISSION)
        form = QuestionForm(request.POST if request.method == "POST" else None)
        if form.is_valid():
            try:
                assessments.activate(program_id=purpose.program_id, purpose=purpose.code, by=officer(request))
            except Problem as problem:
                return self._refused(request, purpose, problem)
            return self._done(request, purpose, gettext("The purpose is active."))
        told = gettext("From now on consents to it are taken, and events under such a consent are stored.")
        return self._page(request, purpose, form, gettext("Activate"), [told])

    def end_view(self, request: HttpRequest, object_id: int) -> HttpResponseBase:
        """The page is the question, with how many people consent; a POST ends the purpose."""
        purpose = self._purpose(request, object_id, ACTIVATE_PERMISSION)
        form = QuestionForm(request.POST if request.method == "POST" else None)
        if form.is_valid():
            assessments.deactivate(program_id=purpose.program_id, purpose=purpose.code, by=officer(request))
            return self._done(request, purpose, gettext("The purpose is ended."))
        number = assessments.consenting(purpose.program_id, purpose.code)
        counted = ngettext("%(number)d person consents to it.", "%(number)d people consent to it.", number)
        return self._page(
            request, purpose, form, gettext("End"), [counted % {"number": number}, _ends()], variant="danger"
        )

    def _page(
        self,
        request: HttpRequest,
        purpose: Purpose,
        form: forms.Form,
        title: str,
        told: Sequence[str],
        *,
        variant: str = "primary",
    ) -> HttpResponseBase:
        """`told`: its sentences; `variant`: of the button that does it, as Unfold names them."""
        context = {
            **self.admin_site.each_context(request),
            "title": title,
            "told": told,
            "button_variant": variant,
            "opts": self.opts,
            "original": purpose,
            "form": form,
            **standing(purpose),
        }
        return TemplateResponse(request, "consent/admin/purpose_form.html", context)

    def _done(self, request: HttpRequest, purpose: Purpose, told: str) -> HttpResponseBase:
        messages.success(request, told)
        return redirect(reverse("admin:consent_purpose_change", args=[purpose.pk]))

    def _refused(self, request: HttpRequest, purpose: Purpose, problem: Problem) -> HttpResponseBase:
        unknown = gettext("It could not be done; nothing was changed.")
        messages.warning(request, str(_REFUSED.get(problem.code, unknown)))
        return redirect(reverse("admin:consent_purpose_change", args=[purpose.pk]))


def _ends() -> str:
    return gettext(
        "No more consents to it are taken, no more events stored, and what was collected under it is erased."
    )


def standing(purpose: Purpose) -> dict[str, Any]:
    """The grounds on which the purpose needs an assessment, the words for those that none covers, and the recipients abroad
    that no mechanism lets have it today."""
    with tenant(purpose.program_id):
        needed = assessments.needed(purpose.program_id, purpose.code)
        lacking = assessments.lacking(purpose.program_id, {purpose.code: needed}).get(purpose.code, [])
        unlet = assessments.unlet(purpose.program_id, [purpose.code]).get(purpose.code, [])
    return {"needed": sorted(needed), "lacking": [Ground(ground).label for ground in lacking], "unlet": unlet}
