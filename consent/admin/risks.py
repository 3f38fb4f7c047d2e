"""Risk monitoring: what each look found, and officers' remarks on it. Nothing here is changed."""

from collections.abc import Iterator
from typing import Any

from django import forms
from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpRequest, HttpResponseBase
from django.shortcuts import redirect
from django.template.response import TemplateResponse
from django.urls import URLPattern, path, reverse
from django.utils.dateparse import parse_datetime
from django.utils.safestring import SafeString
from django.utils.text import capfirst
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _
from unfold.widgets import UnfoldAdminSelectWidget

from consent.admin.badges import badge
from consent.admin.base import Owned, at, officer, own_page
from consent.admin.figures import Figure, Section, waiting
from consent.admin.texts import TextForm, free_text
from consent.errors import Invalid
from consent.monitoring import runs
from consent.monitoring.checks import title
from consent.monitoring.models import RiskRun
from consent.monitoring.runs import Finding
from consent.programs.models import MiniProgram

REMARK_PERMISSION = "consent.add_riskremark"
REMARKS_SHOWN = 100


class RemarkForm(TextForm):
    """What an officer says of one finding."""

    check_code = forms.ChoiceField(label=capfirst(_("check")), widget=UnfoldAdminSelectWidget)
    remark = free_text(_("remark"), required=True, help_text=_("Name no person: this log is kept for good."))
    done = free_text(_("what was done"))

    def __init__(self, findings: list[Finding], data: Any = None) -> None:
        super().__init__(data)
        above = [(finding.code, title(finding.code)) for finding in findings if finding.outcome.above]
        self.fields["check_code"].choices = above  # type: ignore[attr-defined]  # a ChoiceField's


@admin.register(RiskRun)
class RiskRuns(Owned):
    """The latest first."""

    icon, rank = "monitor_heart", 15
    list_display = ["__str__", at("checked_at", _("checked at")), "by", "shown_above"]
    ordering = ["-checked_at", "-id"]
    fieldsets = [(None, {"fields": [("checked_at", "by"), "shown_above"]})]
    readonly_fields = ["shown_above"]
    change_form_outer_after_template = "consent/admin/risk_run.html"

    def figures(self, request: HttpRequest, program: MiniProgram) -> Iterator[Figure]:
        newest = runs.newest(program.pk) if self.has_view_permission(request) else None
        if newest is not None:
            href = reverse("admin:consent_riskrun_change", args=[newest.pk])
            left = len(runs.unremarked(newest))
            yield waiting(Section.RISKS, gettext("findings without a remark"), left, href=href)

    @admin.display(description=_("found"))
    def shown_above(self, run: RiskRun) -> SafeString:
        if not run.above:
            return badge(gettext("nothing above its threshold"), "success")
        return badge(gettext("%(count)d above the threshold") % {"count": run.above}, "warning")

    def get_urls(self) -> list[URLPattern]:
        own = path("<int:object_id>/remark/", own_page(self, self.remark_view), name="consent_riskrun_remark")
        return [own, *super().get_urls()]

    def change_view(self, request: HttpRequest, object_id: str, form_url: str = "", extra_context: Any = None) -> Any:
        run = self.get_object(request, object_id)
        context: dict[str, Any] = {}
        if run is not None:
            remarks = [(title(one.check_code), one) for one in run.remarks.order_by("-at", "-id")[:REMARKS_SHOWN]]
            may_remark = bool(run.above) and request.user.has_perm(REMARK_PERMISSION)
            context = {"findings": _told(runs.findings(run)), "remarks": remarks, "may_remark": may_remark}
        return super().change_view(request, object_id, form_url, {**(extra_context or {}), **context})

    def remark_view(self, request: HttpRequest, object_id: int) -> HttpResponseBase:
        """A form; a POST keeps what it says."""
        run: RiskRun | None = self.get_object(request, str(object_id))
        if not self.has_view_permission(request, run) or not request.user.has_perm(REMARK_PERMISSION):
            raise PermissionDenied
        if run is None or not run.above:
            raise Http404
        form = RemarkForm(runs.findings(run), request.POST if request.method == "POST" else None)
        if form.is_valid():
            try:
                self._keep(request, run, **form.cleaned_data)
            except Invalid as problem:
                form.refused(problem, {})
            else:
                messages.success(request, gettext("The remark is kept."))
                return redirect(reverse("admin:consent_riskrun_change", args=[run.pk]))
        about = {"opts": self.opts, "title": gettext("Add a remark"), "original": run, "form": form}
        response = TemplateResponse(
            request, "consent/admin/risk_remark.html", {**self.admin_site.each_context(request), **about}
        )
        response["Cache-Control"] = "no-store"
        return response

    def _keep(self, request: HttpRequest, run: RiskRun, *, check_code: str, remark: str, done: str) -> None:
        runs.remark(
            program_id=run.program_id, run_id=run.pk, check_code=check_code, said=remark, done=done, by=officer(request)
        )


def _told(found: list[Finding]) -> list[dict[str, Any]]:
    return [
        {
            "title": title(finding.code),
            "found": "–" if finding.outcome.found is None else finding.outcome.found,
            "threshold": finding.outcome.threshold,
            "since": parse_datetime(finding.outcome.since) if finding.outcome.since else None,
            "standing": _standing(finding),
        }
        for finding in found
    ]


def _standing(finding: Finding) -> SafeString:
    if not finding.outcome.above:
        return badge(gettext("in order"), "success")
    if finding.remarked:
        return badge(gettext("remarked"), "info")
    if finding.outcome.found is None:
        return badge(gettext("could not be looked at"), "danger")
    return badge(gettext("above"), "warning")
