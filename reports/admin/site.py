"""The list of reports, a page for each, and its CSV: the answer that REST gives, for whoever may see reports."""

from collections.abc import Iterator
from datetime import timedelta
from typing import Any
from urllib.parse import urlencode

from django.contrib import admin
from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpRequest, HttpResponseBase, HttpResponseNotAllowed, QueryDict
from django.template.response import TemplateResponse
from django.urls import URLPattern, path, reverse
from django.utils.timezone import localdate
from django.utils.translation import gettext

from consent.admin.base import picked
from consent.admin.figures import Figure, Section
from consent.programs.models import MiniProgram
from reports.admin import showing, tables
from reports.admin.base import QUALITY_PERMISSION, OfReports
from reports.admin.pages import PAGES
from reports.admin.saving import SaveForm, days_asked
from reports.models import Report
from tracking.codes import REFUSED

QUALITY = "quality"
REFUSED_DAYS = 7


@admin.register(Report)
class Reports(OfReports):
    """A report is no row: its pages stand where a model's list and its rows would."""

    icon, rank = "bar_chart", 10

    def figures(self, request: HttpRequest, program: MiniProgram) -> Iterator[Figure]:
        """Why events were refused, as the quality report tells it of these days."""
        if not self.may_see(request, QUALITY):
            return
        today = localdate()
        asked = QueryDict(urlencode({"from": today - timedelta(days=REFUSED_DAYS - 1), "to": today}))
        href = f"{reverse('admin:reports_report_quality')}?{asked.urlencode()}"
        found = showing.shown(QUALITY, showing.form_of(QUALITY, program, asked), program, csv=False)
        if found.told is None:
            yield Figure(Section.REFUSED, gettext("Data quality"), "–", href, note=found.trouble)
            return
        for total in tables.totals(found.told, REFUSED):
            if total.cell.text != "0":
                note = gettext("rests on too few people to be told") if total.cell.status == tables.SUPPRESSED else ""
                yield Figure(Section.REFUSED, total.title, total.cell.text, href, note=note)

    def may_see(self, request: HttpRequest, metric: str) -> bool:
        """All reports, or the one on why events were refused alone."""
        return self.has_view_permission(request) or (metric == QUALITY and request.user.has_perm(QUALITY_PERMISSION))

    def get_urls(self) -> list[URLPattern]:
        quality = self.own_page(self.report_view)
        return [
            path("", self.own_page(self.list_view), name="reports_report_changelist"),
            path(f"{QUALITY}/", quality, {"metric": QUALITY}, name="reports_report_quality"),
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
        program = picked(request)
        if program is None or not self.may_see(request, metric):
            raise PermissionDenied
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
