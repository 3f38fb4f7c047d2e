"""The list of reports, a page for each, and its CSV: the answer that REST gives, for whoever may see reports."""

from typing import Any

from django.contrib import admin
from django.http import Http404, HttpRequest, HttpResponseBase, HttpResponseNotAllowed
from django.template.response import TemplateResponse
from django.urls import URLPattern, path
from django.utils.translation import gettext

from reports.admin import showing
from reports.admin.base import OfReports
from reports.admin.pages import PAGES
from reports.admin.saving import SaveForm, days_asked
from reports.models import Report


@admin.register(Report)
class Reports(OfReports):
    """A report is no row: its pages stand where a model's list and its rows would."""

    icon, rank = "bar_chart", 10

    def get_urls(self) -> list[URLPattern]:
        return [
            path("", self.own_page(self.list_view), name="reports_report_changelist"),
            path("<slug:metric>/", self.own_page(self.report_view), name="reports_report_page"),
        ]

    def list_view(self, request: HttpRequest) -> HttpResponseBase:
        """All reports."""
        program = self.program(request)
        if request.method not in ("GET", "HEAD"):
            return HttpResponseNotAllowed(["GET", "HEAD"])
        context = self.context(request, program) | {"title": gettext("Reports"), "pages": PAGES.items()}
        return TemplateResponse(request, "reports/admin/list.html", context)

    def report_view(self, request: HttpRequest, metric: str) -> HttpResponseBase:
        """The form, and what it asked for; the last closed days by default. `format=csv` to take it along."""
        program = self.program(request)
        if metric not in PAGES:
            raise Http404
        if request.method not in ("GET", "HEAD"):
            return HttpResponseNotAllowed(["GET", "HEAD"])
        csv = request.GET.get("format") == "csv"
        form = showing.form_of(metric, program, request.GET)
        shown = showing.shown(metric, form, program, csv=csv)
        if csv and shown.told is not None:
            return shown.csv(request, program)
        context: dict[str, Any] = self.context(request, program)
        if form.is_valid() and self.may_keep(request):
            context["save"] = SaveForm(initial={"days": days_asked(form.cleaned_data)})
        return shown.html(request, context, csv=f"?{showing.csv_query(request.GET)}")
