"""Logs of what was done: searched by who, what, about what and when, and taken along as they are shown."""

import re
from collections.abc import Callable, Iterable, Iterator
from datetime import UTC, datetime, time, timedelta
from typing import Any, ClassVar
from urllib.parse import urlencode
from uuid import UUID

import msgspec
from django import forms
from django.contrib import admin
from django.core.exceptions import PermissionDenied
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponseBase, QueryDict, StreamingHttpResponse
from django.shortcuts import redirect
from django.urls import URLPattern, path, reverse
from django.utils.text import capfirst
from django.utils.timezone import get_current_timezone
from django.utils.translation import gettext_lazy as _
from django.views.decorators.http import require_safe
from unfold.widgets import UnfoldAdminSelectWidget, UnfoldAdminTextInputWidget

from consent.admin.base import Rows, UncountedPaginator, ViewOnly, at
from consent.admin.statistics import YEARS, Day
from consent.ledger import actions
from consent.ledger.queries import ORDER, Sought, behind, cut_at, narrowed, pages
from consent.rights.models import SubjectRequest
from consent.rights.table import cell, written_row

REQUEST = "[0-9A-Fa-f]{8}(-[0-9A-Fa-f]{4}){3}-[0-9A-Fa-f]{12}"
"""Also as a browser reads it, which takes a bare - in a class for a fault, and then checks nothing."""
NUMBER = "[0-9]{1,19}"
ACTOR = f"operator|system|worker|service|replay|subject|officer:{NUMBER}|client:{NUMBER}"
TARGET = (
    f"(client|event_type|hold|incident|officer|processor|mechanism|program|report_run|risk_run|saved_report):{NUMBER}"
    f"|(report_run|saved_report|webhook):{REQUEST}|purpose:[a-z0-9_]{{1,64}}|notice:[0-9a-f]{{64}}|catalogue"
)


def _whole(pattern: str) -> str:
    """As a browser matches a field's pattern."""
    return rf"\A(?:{pattern})\Z"


class SearchForm(forms.Form):
    """What is looked for. It becomes part of the address, so a browser sends nothing here that names no row of ours: no form
    of a field fits a telephone number or an identifier of a platform's."""

    actor = forms.RegexField(
        _whole(ACTOR),
        label=capfirst(_("actor")),
        required=False,
        widget=UnfoldAdminTextInputWidget({"pattern": ACTOR, "list": "actors", "autocomplete": "off"}),
    )
    action = forms.ChoiceField(label=capfirst(_("action")), required=False, widget=UnfoldAdminSelectWidget)
    target = forms.RegexField(
        _whole(f"{TARGET}|(request:)?{REQUEST}"),
        label=capfirst(_("target")),
        required=False,
        widget=UnfoldAdminTextInputWidget({"pattern": f"{TARGET}|(request:)?{REQUEST}", "autocomplete": "off"}),
    )
    before = forms.RegexField(
        _whole(NUMBER),
        label=capfirst(_("before entry")),
        required=False,
        widget=UnfoldAdminTextInputWidget({"pattern": NUMBER, "autocomplete": "off"}),
    )
    first = forms.DateField(label=_("From"), required=False, widget=Day, input_formats=["%Y-%m-%d"])
    last = forms.DateField(label=_("To"), required=False, widget=Day, input_formats=["%Y-%m-%d"])

    def __init__(self, data: QueryDict, titles: Iterable[tuple[str, Any]], entries: QuerySet[Any]) -> None:
        super().__init__(data)
        self._entries = entries
        choices = sorted(((code, str(title)) for code, title in titles), key=lambda choice: choice[1])
        self.fields["action"].choices = [("", "–"), *choices]  # type: ignore[attr-defined]  # a ChoiceField's

    def clean_target(self) -> str:
        """The id of a request alone is meant as one; a pseudonym looks like one, and is none."""
        target: str = self.cleaned_data["target"].removeprefix("request:")
        if not re.fullmatch(REQUEST, target):
            return target
        if not SubjectRequest.objects.filter(id=UUID(target)).exists():
            raise forms.ValidationError(_("There is no request with this id."))
        return f"request:{UUID(target)}"

    def clean_before(self) -> Any:
        """The entry itself; None where none is named."""
        number = self.cleaned_data["before"]
        if not number:
            return None
        entry = self._entries.filter(id=number).only("id", "at").first()
        if entry is None:
            raise forms.ValidationError(_("There is no such entry, or none any more: look from its day on instead."))
        return entry

    def clean(self) -> dict[str, Any]:
        asked = super().clean() or {}
        first, last = asked.get("first"), asked.get("last")
        if any(day and day.year not in YEARS for day in (first, last)) or (first and last and last < first):
            raise forms.ValidationError(_("A range begins before it ends."))
        return asked

    def sought(self) -> Sought:
        """Of a valid form; days are those of the reader's time zone, the last one included."""
        asked = self.cleaned_data
        first, last = asked["first"], asked["last"]
        return Sought(
            actor=asked["actor"] or None,
            action=asked["action"] or None,
            target=asked["target"] or None,
            since=_midnight(first) if first else None,
            until=_midnight(last + timedelta(days=1)) if last else None,
        )

    def told(self) -> dict[str, str]:
        """What is looked for, as an audit entry keeps it."""
        return {
            name: str(value.id if name == "before" else value) for name, value in self.cleaned_data.items() if value
        }


def _asked(request: HttpRequest) -> dict[str, str]:
    return {name: request.GET[name] for name in SearchForm.base_fields if request.GET.get(name)}


def _midnight(day: Any) -> datetime:
    return datetime.combine(day, time.min, get_current_timezone())


JOBS: list[tuple[str, Any]] = [
    ("operator", _("who runs the service's commands")),
    ("system", _("the service itself")),
    ("worker", _("a worker of the service")),
    ("replay", _("a replay of the journal after a restore")),
    ("subject", _("the data subject")),
]


class LogRows(Rows):
    """The form's fields are no lookups of Django's."""

    def get_filters_params(self, params: Any = None) -> dict[str, Any]:
        found: dict[str, Any] = super().get_filters_params(params)
        return {name: value for name, value in found.items() if name not in SearchForm.base_fields}

    def get_queryset(self, request: HttpRequest, exclude_parameters: Any = None) -> QuerySet[Any]:
        rows: QuerySet[Any] = super().get_queryset(request, exclude_parameters)
        model_admin: Any = self.model_admin
        found: QuerySet[Any] = model_admin.found(rows, model_admin.search(request))
        return found


MOST = 50_000
"""Entries a file takes along: some seconds, where a web process has 30."""


def _csv(entries: Iterator[list[Any]], columns: tuple[str, ...], end: Any) -> Iterator[str]:
    """A text that a spreadsheet would take for a formula has an apostrophe before it."""
    yield written_row(columns)
    for page in entries:
        yield "".join(written_row([cell(value) for value in _values(entry, columns)]) for entry in page)
    if end is not None:
        last = {"id": "cut", "details": cell(_cut(end))}
        yield written_row([last.get(column, "") for column in columns])


def _lines(entries: Iterator[list[Any]], columns: tuple[str, ...], end: Any) -> Iterator[bytes]:
    for page in entries:
        told = (dict(zip(columns, _values(entry, columns), strict=True)) for entry in page)
        yield b"".join(msgspec.json.encode(entry) + b"\n" for entry in told)
    if end is not None:
        yield msgspec.json.encode({"cut": _cut(end)}) + b"\n"


def _cut(end: Any) -> dict[str, int]:
    """What the last line of a file says that has not all: where the next one begins."""
    return {"entries": MOST, "before": end.id}


def _values(entry: Any, columns: tuple[str, ...]) -> list[Any]:
    values = (getattr(entry, column) for column in columns)
    return [value.astimezone(UTC).isoformat() if isinstance(value, datetime) else value for value in values]


FORMATS: dict[str, tuple[str, Callable[..., Iterator[Any]]]] = {
    "csv": ("text/csv; charset=utf-8", _csv),
    "jsonl": ("application/jsonl; charset=utf-8", _lines),
}


class Log(ViewOnly):
    """A list with a form above it. A log says of what its rows are (`about`, a column) and keeps who takes it along (`taken`)."""

    paginator = UncountedPaginator
    about = "target"
    of_accounts = False
    readonly_fields: ClassVar[Any] = ["shown_action"]
    ordering: ClassVar[Any] = ORDER
    list_before_template = "consent/admin/log_search.html"

    def taken(self, request: HttpRequest, details: dict[str, Any]) -> int:
        """Keep that the officer takes it along; the number of the entry, behind which nothing is taken."""
        raise NotImplementedError

    @admin.display(description=_("action"))
    def shown_action(self, entry: Any) -> str:
        return actions.title(entry.action)

    def actors(self, request: HttpRequest) -> list[tuple[str, Any]]:
        """Who is offered in the form, each with a name."""
        return JOBS

    @property
    def columns(self) -> tuple[str, ...]:
        return ("id", "at", "actor", "action", self.about, "details")

    def get_list_display(self, request: HttpRequest) -> Any:
        return [at("at", _("at")), "actor", "shown_action", self.about]

    def get_changelist(self, request: HttpRequest, **kwargs: Any) -> type[LogRows]:
        return LogRows

    def lookup_allowed(self, lookup: str, value: str, request: HttpRequest) -> bool:
        return False

    def search(self, request: HttpRequest) -> SearchForm:
        titles = actions.titles(of_accounts=self.of_accounts).items()
        return SearchForm(request.GET, titles, self.get_queryset(request))

    def found(self, rows: QuerySet[Any], search: SearchForm) -> QuerySet[Any]:
        if not search.is_valid():
            return rows.none()
        narrow = narrowed(rows, search.sought(), target=self.about)
        entry = search.cleaned_data["before"]
        return narrow if entry is None else behind(narrow, entry)

    def changelist_view(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> Any:
        search = self.search(request)
        rows = self.found(self.get_queryset(request), search)
        end = cut_at(rows, most=MOST) if search.is_valid() and self.has_view_permission(request) else None
        shown = {
            "search": search,
            "most": MOST,
            "end": end,
            "rest": f"?{urlencode({**_asked(request), 'before': end.id})}" if end is not None else "",
            "actors": self.actors(request),
            "exports": [
                (name, self._export(request, form)) for form, name in (("csv", "CSV"), ("jsonl", "JSON Lines"))
            ],
        }
        return super().changelist_view(request, (extra_context or {}) | shown)

    def _export(self, request: HttpRequest, form: str) -> str:
        """Where what is shown is taken along."""
        return f"{reverse(f'admin:{self._name}_export')}?{urlencode({**_asked(request), 'format': form})}"

    @property
    def _name(self) -> str:
        return f"{self.opts.app_label}_{self.opts.model_name}"

    def get_urls(self) -> list[URLPattern]:
        def view(request: HttpRequest) -> HttpResponseBase:
            return self.admin_site.admin_view(require_safe(self.export_view))(request)

        view.model_admin = self  # type: ignore[attr-defined]  # as Django marks its own, for OfficersProgram
        return [path("export/", view, name=f"{self._name}_export"), *super().get_urls()]

    def export_view(self, request: HttpRequest) -> HttpResponseBase:
        """What the list shows with the same `?…`, the first MOST entries, as `format=csv` or `jsonl` (JSON Lines). Where there are
        more the last line says so, and `before=` which entry the rest is found.
        """
        if not self.has_view_permission(request):
            raise PermissionDenied
        search, form = self.search(request), request.GET.get("format", "csv")
        if not search.is_valid() or form not in FORMATS:
            return redirect(f"{reverse(f'admin:{self._name}_changelist')}?{urlencode(_asked(request))}")
        last = self.taken(request, {"format": form, **search.told()})
        media_type, written = FORMATS[form]
        rows = self.found(self.get_queryset(request), search).filter(id__lt=last)
        content = written(pages(rows, most=MOST), self.columns, cut_at(rows, most=MOST))
        response = StreamingHttpResponse(content, content_type=media_type)
        entry = search.cleaned_data["before"]
        before = "" if entry is None else f"-before-{entry.id}"
        response["Content-Disposition"] = f'attachment; filename="{self.opts.db_table}{before}.{form}"'
        response["Cache-Control"] = "no-store"
        response["X-Content-Type-Options"] = "nosniff"
        return response
