"""Reports that are made in the background: started where a page's time was over, watched, cancelled, and shown when done."""

import json
from collections.abc import Mapping
from datetime import date, datetime
from typing import Any
from uuid import UUID

from django.contrib import admin, messages
from django.http import Http404, HttpRequest, HttpResponseBase, HttpResponseNotAllowed
from django.shortcuts import redirect
from django.template.response import TemplateResponse
from django.urls import URLPattern, path, reverse
from django.utils.safestring import SafeString
from django.utils.timezone import localdate
from django.utils.translation import gettext_lazy as _

from consent import edge
from consent.admin.badges import badge
from consent.admin.base import at, officer
from consent.errors import Problem
from consent.programs.models import MiniProgram
from reports import runs, tasks
from reports.admin import options, showing, words
from reports.admin.base import Listed
from reports.admin.pages import PAGES
from reports.admin.saving import days_in_words
from reports.api import questions
from reports.models import OPEN, Counting, ReportRun, RunState, SavedReport

REFRESHED_S = 3
COLOURS = {"running": "info", "done": "success", "failed": "danger", "cancelled": "warning"}


@admin.register(ReportRun)
class ReportRuns(Listed):
    """The last asked first; a page refreshes itself until its run is over."""

    icon, rank = "hourglass_top", 12
    opens = "admin:reports_reportrun_page"
    list_display = ["shown_report", "shown_days", "shown_state", "asked_by", at("asked_at", _("asked at"))]
    ordering = ["-asked_at", "-id"]

    def get_queryset(self, request: HttpRequest) -> Any:
        return super().get_queryset(request).filter(expires_at__gt=edge.now()).defer("answer")

    @admin.display(description=_("report"))
    def shown_report(self, run: ReportRun) -> str:
        return str(PAGES[run.metric].title) if run.metric in PAGES else run.metric

    @admin.display(description=_("days"))
    def shown_days(self, run: ReportRun) -> str:
        return days_in_words(run.question)

    @admin.display(description=_("state"))
    def shown_state(self, run: ReportRun) -> SafeString:
        return _state(run)

    def get_urls(self) -> list[URLPattern]:
        """A run has no form, so none of Django's pages but the list."""
        (listed,) = (url for url in super().get_urls() if url.name == "reports_reportrun_changelist")
        return [
            listed,
            path("start/<slug:metric>/", self.own_page(self.start_view), name="reports_reportrun_start"),
            path("<uuid:run_id>/", self.own_page(self.run_view), name="reports_reportrun_page"),
            path("<uuid:run_id>/cancel/", self.own_page(self.cancel_view), name="reports_reportrun_cancel"),
        ]

    def start_view(self, request: HttpRequest, metric: str) -> HttpResponseBase:
        """POST only: the question is that of the form in the address, or of the saved report that is named."""
        program = self.keeping(request)
        if metric not in PAGES:
            raise Http404
        if request.method != "POST":
            return HttpResponseNotAllowed(["POST"])
        question, back = _question(request, metric, program)
        if question is None:
            return redirect(back)
        now = edge.now()
        try:
            questions.refuse(
                metric, question, program_id=program.pk, zone=program.zone, sandbox=program.sandbox, now=now
            )
            run = runs.ask(
                program_id=program.pk,
                metric=metric,
                question=questions.body(question, localdate(now)),
                by=officer(request),
                on_asked=tasks.hint,
            )
        except Problem as problem:
            messages.error(request, words.fault(problem.code))
            return redirect(reverse("admin:reports_reportrun_changelist"))
        return redirect(_address(run.pk))

    def run_view(self, request: HttpRequest, run_id: UUID) -> HttpResponseBase:
        """How far it is; the report when it is done, and `format=csv` to take that along."""
        program = self.program(request)
        run = self.get_queryset(request).filter(pk=run_id).first()
        if run is None or run.metric not in PAGES:
            raise Http404
        if request.method not in ("GET", "HEAD"):
            return HttpResponseNotAllowed(["GET", "HEAD"])
        context = self.context(request, program) | {"run": run, "days": days_in_words(run.question)}
        if run.state == RunState.DONE:
            shown = _shown(run, program)
            if request.GET.get("format") == "csv":
                return shown.csv(request, program)
            return shown.html(request, context, csv="?format=csv")
        context |= {
            "title": PAGES[run.metric].title,
            "open": run.state in OPEN,
            "state": _state(run),
            "counting": Counting(run.counting).label if run.counting else "",
            "refreshed": REFRESHED_S,
            "trouble": words.failure(run.problem["code"]) if run.problem else "",
            "again": f"{reverse('admin:reports_report_page', args=[run.metric])}?{_query(run)}",
        }
        return TemplateResponse(request, "reports/admin/run.html", context)

    def cancel_view(self, request: HttpRequest, run_id: UUID) -> HttpResponseBase:
        """POST only."""
        program = self.keeping(request)
        if request.method != "POST":
            return HttpResponseNotAllowed(["POST"])
        try:
            runs.cancel(program_id=program.pk, run_id=run_id, by=officer(request))
        except Problem as problem:
            if problem.status == 404:
                raise Http404 from None
            messages.warning(request, words.fault(problem.code))
        return redirect(_address(run_id))


def _address(run_id: UUID) -> str:
    return reverse(ReportRuns.opens, args=[run_id])


def _state(run: ReportRun) -> SafeString:
    return badge(str(RunState(run.state).label), COLOURS.get(run.state, ""))


def _query(run: ReportRun) -> str:
    return options.sent(run.metric, run.question).urlencode()


def _question(request: HttpRequest, metric: str, program: MiniProgram) -> tuple[Mapping[str, Any] | None, str]:
    """(what is asked, the page where it was asked). None where that page's form is not filled as it has to be."""
    if kept := request.POST.get("saved"):
        rows = SavedReport.objects.filter(program=program, metric=metric)
        row = next((row for row in rows if str(row.pk) == kept), None)
        if row is None:
            raise Http404
        return row.question, reverse("admin:reports_savedreport_open", args=[row.pk])
    form = showing.form_of(metric, program, request.GET)
    back = f"{reverse('admin:reports_report_page', args=[metric])}?{request.GET.urlencode()}"
    return (options.body(metric, form.cleaned_data) if form.is_valid() else None), back


def _shown(run: ReportRun, program: MiniProgram) -> showing.Shown:
    """What the run answered, as the page of its report would show it. The form may have lost an event since."""
    assert run.answer is not None
    told = json.loads(run.answer)
    told["as_of"] = datetime.fromisoformat(told["as_of"])
    form = showing.form_of(run.metric, program, options.sent(run.metric, run.question))
    days = {name: date.fromisoformat(run.question[name]) for name in ("from", "to")}
    return showing.Shown(run.metric, form, told, "", {**run.question, **days})
