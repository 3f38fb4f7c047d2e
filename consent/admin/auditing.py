"""The compliance audit report of a period: a page to print, and the same as JSON."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta
from typing import Any
from zoneinfo import ZoneInfo

from django.conf import settings
from django.contrib import admin
from django.core.exceptions import PermissionDenied
from django.db import DatabaseError
from django.http import HttpRequest, HttpResponse, HttpResponseBase
from django.shortcuts import redirect
from django.template.response import TemplateResponse
from django.utils.text import capfirst
from django.utils.timezone import localdate
from django.utils.translation import gettext as _
from django.views.decorators.http import require_http_methods

from consent import edge
from consent.admin.base import officer, picked
from consent.admin.statistics import RangeForm
from consent.api.problems import passing_of
from consent.auditing.figures import LASTING, Figure, Period
from consent.auditing.report import Report, document, make

REM_A_COLUMN = 5
PERMISSION = "consent.view_audit_report"


def may_make(request: HttpRequest) -> bool:
    return request.user.has_perm(PERMISSION)


@dataclass(frozen=True)
class Table:
    """A figure as the page shows it; a cell that is not told says below what. `width`: rem, below which it is scrolled."""

    title: str
    definition: str
    lasting: str
    heads: list[str]
    lines: list[list[str]]

    @property
    def width(self) -> int:
        return REM_A_COLUMN * len(self.heads)


@require_http_methods(["GET", "HEAD", "POST"])
def audit_report(request: HttpRequest) -> HttpResponseBase:
    """A form, by default of last month; a POST makes the report, which the audit log keeps; `format=json` as a file."""
    program = picked(request)
    if program is None:
        return redirect("admin_program")
    if not may_make(request):
        raise PermissionDenied
    last = localdate().replace(day=1) - timedelta(days=1)
    form = RangeForm(request.POST if request.method == "POST" else {"first": last.replace(day=1), "last": last})
    context: dict[str, Any] = {**admin.site.each_context(request), "title": _("Compliance audit report"), "form": form}
    if request.method == "POST" and form.is_valid():
        try:
            report = make(
                program=program,
                period=Period(form.cleaned_data["first"], form.cleaned_data["last"], ZoneInfo(program.zone)),
                now=edge.now(),
                within=settings.ZHIQING_WITHDRAWAL_ERASURE,
                k=1 if program.sandbox else settings.ZHIQING_K,
                keyring=edge.vault().keyring,
                by=officer(request),
            )
        except DatabaseError as error:
            if passing_of(error) is None:
                raise
            form.add_error(
                None, _("This takes longer than a page may: ask for a shorter period, or use manage.py audit_report.")
            )
            return TemplateResponse(request, "consent/admin/audit_report.html", context)
        written = document(report)
        if request.POST.get("format") == "json":
            return _file(report, written)
        context |= {
            "report": report,
            "document": written,
            "sections": [(s.title, [_table(figure) for figure in s.figures]) for s in report.sections],
        }
    return TemplateResponse(request, "consent/admin/audit_report.html", context)


def _file(report: Report, written: dict[str, Any]) -> HttpResponse:
    text = json.dumps(written, ensure_ascii=False, indent=1)
    response = HttpResponse(text, content_type="application/json; charset=utf-8")
    name = f"audit-report-{report.program.pk}-{report.period.first}-{report.period.last}.json"
    response["Content-Disposition"] = f'attachment; filename="{name}"'
    return response


def _table(figure: Figure) -> Table:
    definition = figure.definition
    return Table(
        str(definition.title),
        str(definition.definition),
        str(LASTING[definition.lasting]),
        [str(column.title) for column in definition.columns],
        [list(_cells(figure, row)) for row in figure.rows],
    )


def _cells(figure: Figure, row: Any) -> Iterator[str]:
    for column, value in zip(figure.definition.columns, row, strict=True):
        if value is None:
            yield _("not told") if column.people else "–"
        else:
            yield capfirst(column.words(value)) if column.words else str(value)
