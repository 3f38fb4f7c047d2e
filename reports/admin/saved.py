"""Saved reports: the list, each shown as the report it is, renamed and deleted by whoever may keep reports."""

from typing import Any
from uuid import UUID

from django import forms
from django.contrib import admin, messages
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseBase, HttpResponseNotAllowed
from django.shortcuts import redirect
from django.template.response import TemplateResponse
from django.urls import URLPattern, path, reverse
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.timezone import localdate
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from consent import edge
from consent.admin.base import at, officer
from consent.errors import Invalid, Problem
from consent.programs.models import MiniProgram
from reports import saved
from reports.admin import options, showing, words
from reports.admin.base import Listed
from reports.admin.pages import PAGES
from reports.admin.saving import RenameForm, SaveForm, days_in_words, question
from reports.api import questions
from reports.models import SavedReport


@admin.register(SavedReport)
class SavedReports(Listed):
    """Saved on a report's page. Opened it asks anew, at an address that tells nothing of the question."""

    icon, rank = "bookmark", 11
    opens = "admin:reports_savedreport_open"
    form = RenameForm
    list_display = ["name", "shown_report", "shown_days", "saved_by", at("saved_at", _("saved at")), "changed"]
    ordering = ["name"]
    fields = ["name"]

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return self.may_keep(request)

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return self.may_keep(request)

    @admin.display(description=_("report"))
    def shown_report(self, row: SavedReport) -> str:
        return str(PAGES[row.metric].title) if row.metric in PAGES else row.metric

    @admin.display(description=_("days"))
    def shown_days(self, row: SavedReport) -> str:
        return days_in_words(row.question)

    @admin.display(description="")
    def changed(self, row: SavedReport) -> SafeString:
        return format_html(
            '<a href="{}" class="text-primary-600">{}</a>',
            reverse("admin:reports_savedreport_change", args=[row.pk]),
            gettext("Rename or delete"),
        )

    def get_urls(self) -> list[URLPattern]:
        own = [
            path("save/<slug:metric>/", self.own_page(self.save_view), name="reports_savedreport_save"),
            path("<uuid:saved_id>/", self.own_page(self.open_view), name="reports_savedreport_open"),
        ]
        return [*own, *super().get_urls()]

    def open_view(self, request: HttpRequest, saved_id: UUID) -> HttpResponseBase:
        """The report, asked anew; `format=csv` to take it along."""
        program = self.program(request)
        row = self.get_queryset(request).filter(pk=saved_id).first()
        if row is None or row.metric not in PAGES:
            raise Http404
        if request.method not in ("GET", "HEAD"):
            return HttpResponseNotAllowed(["GET", "HEAD"])
        csv = request.GET.get("format") == "csv"
        shown = _asked(row, program, csv=csv)
        if csv and shown.told is not None:
            return shown.csv(request, program)
        context = self.context(request, program) | {
            "saved": row,
            "days": days_in_words(row.question, **_dates(shown.form)),
            "beside": _beside(row),
        }
        return shown.html(request, context, csv="?format=csv")

    def save_view(self, request: HttpRequest, metric: str) -> HttpResponseBase:
        """POST only: the form of the report stands in the address, as on the report's page."""
        program = self.keeping(request)
        if metric not in PAGES:
            raise Http404
        if request.method != "POST":
            return HttpResponseNotAllowed(["POST"])
        form, save = showing.form_of(metric, program, request.GET), SaveForm(request.POST)
        address = f"{reverse('admin:reports_report_page', args=[metric])}?{request.GET.urlencode()}"
        if not form.is_valid():
            return redirect(address)
        if save.is_valid() and (made := _save(request, program, metric, form, save)) is not None:
            messages.success(request, gettext("The report is saved."))
            return redirect(_address(made.pk))
        context = self.context(request, program) | {
            "title": gettext("Save this report"),
            "page": PAGES[metric],
            "save": save,
            "metric": metric,
            "query": showing.query(form),
            "address": address,
        }
        return TemplateResponse(request, "reports/admin/save.html", context)

    def change_view(
        self, request: HttpRequest, object_id: str, form_url: str = "", extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        only = {"show_save_and_add_another": False, "show_save_and_continue": False}
        try:
            return super().change_view(request, object_id, form_url, (extra_context or {}) | only)
        except Problem as problem:
            # Another was quicker than the form's own check.
            messages.error(request, words.fault(problem.code))
            return redirect(request.path)

    def save_model(self, request: HttpRequest, obj: SavedReport, form: Any, change: Any) -> None:
        saved.rename(program_id=obj.program_id, saved_id=obj.pk, name=obj.name, by=officer(request))

    def delete_model(self, request: HttpRequest, obj: SavedReport) -> None:
        saved.delete(program_id=obj.program_id, saved_id=obj.pk, by=officer(request))


def _address(saved_id: UUID) -> str:
    return reverse(SavedReports.opens, args=[saved_id])


def _asked(row: SavedReport, program: MiniProgram, *, csv: bool) -> showing.Shown:
    """The question itself is asked, as it would be by REST; the form shows what it has a place for."""
    now = edge.now()
    try:
        body = questions.body(row.question, localdate(now))
    except Invalid:
        body = row.question
    if csv:
        body = {name: value for name, value in body.items() if name != showing.DROPPED_IN_CSV}
    form = showing.form_of(row.metric, program, options.sent(row.metric, body))
    return showing.shown(
        row.metric,
        form,
        program,
        csv=csv,
        asked=lambda: questions.asked(row.metric, body, zone=program.zone, now=now),
    )


def _dates(form: forms.Form) -> dict[str, Any]:
    return {"first": form.cleaned_data["from"], "last": form.cleaned_data["to"]} if form.is_valid() else {}


def _beside(row: SavedReport) -> list[str]:
    """What the question has and the form has no place for: asked all the same, and said."""
    offered = {"from", "to", questions.RANGE, *PAGES[row.metric].options}
    return [words.option(name) for name, value in row.question.items() if name not in offered and value]


def _save(
    request: HttpRequest, program: MiniProgram, metric: str, form: forms.Form, save: SaveForm
) -> SavedReport | None:
    """None where it is refused, which the form says then."""
    kept = question(metric, form.cleaned_data, save.cleaned_data["days"])
    try:
        questions.refuse(
            metric,
            kept,
            program_id=program.pk,
            zone=program.zone,
            sandbox=program.sandbox,
            now=edge.now(),
        )
        return saved.save(
            program_id=program.pk,
            name=save.cleaned_data["name"],
            metric=metric,
            question=kept,
            by=officer(request),
        )
    except Problem as problem:
        field = "name" if problem.code == "name_taken" else None
        save.add_error(field, words.fault(problem.code))
        return None
