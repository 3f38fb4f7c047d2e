"""A report's form and its answer, for the page of a report and for that of a saved one."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

from django import forms
from django.db import DatabaseError
from django.http import HttpRequest, HttpResponse, HttpResponseBase, QueryDict
from django.template.response import TemplateResponse
from django.utils.timezone import localdate
from django.utils.translation import gettext

from consent import edge
from consent.admin.base import officer
from consent.admin.tenancy import entering_again
from consent.api.problems import passing_of
from consent.errors import Invalid
from consent.ledger.audit import audit
from consent.programs.models import MiniProgram
from reports.admin import options, tables
from reports.admin.pages import PAGES, Page
from reports.api.asking import answered
from reports.api.questions import CLOSED_AFTER
from reports.api.rendering import CSVRenderer, about
from reports.api.shapes import ReportAsked
from reports.deadline import ANSWER_S, deadline
from reports.metrics.registry import STANDS

LINES_SHOWN = 500
DROPPED_IN_CSV = "compare"
"""A CSV has the rows of the range itself only, and REST refuses to compare in one."""


@dataclass(frozen=True)
class Shown:
    """`told`: the answer, if there is one, and `asked`: what it answers; `trouble`: what keeps the database from it. What the
    report refuses is told beside the form's fields."""

    metric: str
    form: forms.Form
    told: Mapping[str, Any] | None = None
    trouble: str = ""
    asked: Mapping[str, Any] = field(default_factory=dict)

    @property
    def page(self) -> Page:
        return PAGES[self.metric]

    def csv(self, request: HttpRequest, program: MiniProgram) -> HttpResponse:
        """What REST answers as CSV, and about it in the header: codes rather than words, the same in every language. Only where it
        was told."""
        assert self.told is not None
        days = {name: self.asked[name].isoformat() for name in ("from", "to")}
        audit(
            program_id=program.pk,
            actor=officer(request),
            action="report.exported",
            target=f"program:{program.pk}",
            details={"report": self.metric, **days},
        )
        response = HttpResponse(CSVRenderer().render(self.told), content_type="text/csv; charset=utf-8")
        response["Content-Disposition"] = f'attachment; filename="{self.metric}-{days["from"]}-{days["to"]}.csv"'
        response["Cache-Control"] = "no-store"
        response["Zhiqing-Report"] = about(self.told)
        return response

    def html(self, request: HttpRequest, context: Mapping[str, Any], *, csv: str) -> HttpResponseBase:
        """`csv`: the address of the same as CSV."""
        found = {
            "title": self.page.title,
            "page": self.page,
            "metric": self.metric,
            "form": self.form,
            "query": query(self.form) if self.form.is_bound else "",
            "trouble": self.trouble,
        }
        if self.told is not None:
            found |= _figures(self.page, self.told, self.asked) | {"csv": csv}
        status = 503 if self.trouble else 200
        return TemplateResponse(request, "reports/admin/report.html", found | {**context}, status=status)


def form_of(metric: str, program: MiniProgram, sent: QueryDict) -> forms.Form:
    """Bound unless it has to be filled first; the last closed days by default."""
    page = PAGES[metric]
    made = options.form_for(metric, page.options, page.breakdowns, program.pk)
    last = localdate() - CLOSED_AFTER
    usual = {
        "from": last - timedelta(days=page.days - 1),
        "to": last,
        **options.defaults(metric, page.options),
        **page.usual,
    }
    if not any(name in sent for name in made.base_fields) and options.needed(metric):
        return made(initial=usual)
    asked = sent.copy()
    for name, value in usual.items():
        if name not in asked:
            asked[name] = value
    return made(asked)


def shown(
    metric: str, form: forms.Form, program: MiniProgram, *, csv: bool, asked: Callable[[], ReportAsked] | None = None
) -> Shown:
    """Ask what a form asks, or what else `asked` says; nothing where the form is not filled as it has to be."""
    if not form.is_valid():
        return Shown(metric, form)
    try:
        with entering_again(program.pk), deadline(ANSWER_S):
            told = answered(
                metric,
                asked() if asked is not None else options.asked(metric, form.cleaned_data),
                program_id=program.pk,
                zone=program.zone,
                sandbox=program.sandbox,
                now=edge.now(),
                csv=csv,
            )
    except Invalid as error:
        options.tell(form, error)
        return Shown(metric, form)
    except DatabaseError as error:
        if passing_of(error) is None:
            raise
        trouble = gettext(
            "This took longer than a page may, or the database is busy: ask for fewer days, or again later, or let a worker make it."
        )
        return Shown(metric, form, trouble=trouble)
    return Shown(metric, form, told, asked=form.cleaned_data)


def _figures(page: Page, told: Mapping[str, Any], asked: Mapping[str, Any]) -> dict[str, Any]:
    found = tables.tables(told, shown=LINES_SHOWN, heat=page.heat)
    return {
        "told": told,
        "definition": _defined(told["definition"]),
        "charts": [
            {"id": f"chart-{n}", "title": chart.title, "figure": chart.draw(told, asked), "wide": chart.wide}
            for n, chart in enumerate(page.charts)
        ],
        "tables": found,
        "totals": tables.totals(told),
        "withdrawn": tables.withdrawn(told),
        "api_names": {column.name: column.title for table in found for column in table.columns}.items(),
        "first": asked["from"],
        "last": asked["to"],
        "marks": tables.MARKS,
        "empty": not any(table.lines for table in found),
    }


def _defined(definition: str) -> str:
    """In the officer's language: the report's own words, and those on what stands, if any."""
    own = definition.removesuffix(STANDS).rstrip()
    return f"{gettext(own)} {gettext(STANDS)}" if own != definition else gettext(own)


def query(form: forms.Form) -> str:
    """What a filled form asks, as an address has it."""
    sent = form.data
    assert isinstance(sent, QueryDict)
    return sent.urlencode()


def csv_query(sent: QueryDict) -> str:
    asked = sent.copy()
    asked.pop(DROPPED_IN_CSV, None)
    asked["format"] = "csv"
    return asked.urlencode()
