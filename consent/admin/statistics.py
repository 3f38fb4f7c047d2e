"""How many people consented, refused, put off, withdrew: a table by day, purpose and notice version, and the same as CSV."""

import csv
import io
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from typing import Any
from urllib.parse import urlencode
from zoneinfo import ZoneInfo

from django import forms
from django.core.exceptions import PermissionDenied
from django.db import DatabaseError
from django.http import HttpRequest, HttpResponse, HttpResponseBase, HttpResponseNotAllowed
from django.template.response import TemplateResponse
from django.urls import URLPattern, path, reverse
from django.utils.formats import number_format
from django.utils.timezone import localdate
from django.utils.translation import gettext, ngettext
from django.utils.translation import gettext_lazy as _
from unfold.widgets import UnfoldAdminTextInputWidget

from consent import edge
from consent.admin.base import Owned, localised, officer, picked
from consent.admin.figures import Figure, Section
from consent.api.problems import passing_of
from consent.ledger.audit import audit
from consent.programs.models import MiniProgram
from consent.records.decided_days import DAYS, Counted, newest
from consent.records.models import ConsentRecord
from consent.records.statistics import COLUMNS, MAX_DAYS, Row, decided, summed

PERMISSION = "consent.view_consent_statistics"
ROWS_SHOWN = 500
ROWS_TAKEN = 20_000
"""What a file has of these, in whole days: some hundred days of many purposes and versions."""
MOST_COUNTED = 20_000
"""Records that the first page counts while it is waited for: of more it tells what a worker counted of finished days. The page of a
range counts whatever there is."""
SHOWN_FIRST = ("given", "withdrawn", "refused")

TITLES = {
    "given": _("given"),
    "refused": _("refused"),
    "deferred": _("put off"),
    "withdrawn": _("withdrawn"),
    "expired": _("expired"),
}


class Day(UnfoldAdminTextInputWidget):  # type: ignore[misc]  # unfold carries no types
    input_type = "date"

    def format_value(self, value: Any) -> str | None:
        return value.isoformat() if isinstance(value, date) else super().format_value(value)


YEARS = range(2000, 2200)


class RangeForm(forms.Form):
    """Two inclusive local dates."""

    first = forms.DateField(label=_("From"), widget=Day, input_formats=["%Y-%m-%d"])
    last = forms.DateField(label=_("To"), widget=Day, input_formats=["%Y-%m-%d"])

    def clean(self) -> dict[str, Any]:
        asked = super().clean() or {}
        first, last = asked.get("first"), asked.get("last")
        if first and last and not (last.year in YEARS and 0 <= (last - first).days < MAX_DAYS):
            raise forms.ValidationError(
                _("A range begins before it ends and has %(days)d days at most."), params={"days": MAX_DAYS}
            )
        return asked


def may_see(request: HttpRequest) -> bool:
    return request.user.has_perm(PERMISSION)


@dataclass(frozen=True)
class Line:
    """A row as the page shows it; `cells`: a number as text, or what stands for one that is not told."""

    day: str
    purpose: str
    notice: str
    cells: list[str]


class Statistics(Owned):
    """The page beside the list of records: how many, for whoever may see no more than that too."""

    def get_urls(self) -> list[URLPattern]:
        def view(request: HttpRequest) -> HttpResponseBase:
            return self.admin_site.admin_view(self.statistics_view)(request)

        view.model_admin = self  # type: ignore[attr-defined]  # as Django marks its own, for OfficersProgram
        return [path("statistics/", view, name="consent_consentrecord_statistics"), *super().get_urls()]

    def figures(self, request: HttpRequest, program: MiniProgram) -> Iterator[Figure]:
        """The sums of what the page tells of its usual days, or of those that a worker counted: more than that would tell what it
        withholds."""
        if not may_see(request):
            return
        found = _first_told(program)
        days = _usual() if found is None else {"first": found.first, "last": found.last}
        href = f"{reverse('admin:consent_consentrecord_statistics')}?{urlencode(days)}"
        if found is None:
            told = gettext("more than %(most)s") % {"most": number_format(MOST_COUNTED, force_grouping=True)}
            yield Figure(Section.CONSENTS, gettext("Decisions"), told, href)
            return
        until = "" if found.last == localdate() else gettext("until %(day)s") % {"day": found.last}
        for name in SHOWN_FIRST:
            note = " · ".join(filter(None, (until, _without(found.sums.withheld[name], edge.k_of(program)))))
            yield Figure(Section.CONSENTS, str(TITLES[name]), str(found.sums.people[name]), href, note=note)

    def statistics_view(self, request: HttpRequest) -> HttpResponseBase:
        """`?first=&last=` as local dates, the last 30 days by default; `format=csv` to take them along."""
        program = picked(request)
        if program is None or not may_see(request):
            raise PermissionDenied
        if request.method not in ("GET", "HEAD"):
            return HttpResponseNotAllowed(["GET", "HEAD"])
        form = RangeForm({name: request.GET.get(name) or value for name, value in _usual().items()})
        k = edge.k_of(program)
        rows = _rows_for(program, form, k) if form.is_valid() else []
        part, rest = _part(rows)
        if request.GET.get("format") == "csv" and form.is_valid():
            _audited(request, program, form.cleaned_data, part)
            return _csv(part, form.cleaned_data, rest)
        context = {
            **self.admin_site.each_context(request),
            "title": _("Consents by day"),
            "opts": self.opts,
            "form": form,
            "zone": program.zone,
            "k": k,
            "titles": list(TITLES.values()),
            "lines": list(_lines(rows[:ROWS_SHOWN], k)),
            "more": len(rows) > ROWS_SHOWN,
            "rest": rest,
            "rest_href": f"?{urlencode({**form.cleaned_data, 'last': rest})}" if rest else "",
        }
        return TemplateResponse(request, "consent/admin/statistics.html", context)


def _usual() -> dict[str, date]:
    today = localdate()
    return {"first": today - timedelta(days=DAYS - 1), "last": today}


def _first_told(program: MiniProgram) -> Counted | None:
    """What the first page tells: of the usual days, where they are quickly counted, or else what was counted of finished ones; None
    where no worker has counted them yet."""
    days = _usual()
    since = datetime.combine(days["first"], time.min, ZoneInfo(program.zone))
    acts = ConsentRecord.objects.filter(program_id=program.pk, corrected_at__gte=since)
    if acts.order_by()[: MOST_COUNTED + 1].count() > MOST_COUNTED:
        return newest(program.pk)
    return Counted(days["first"], days["last"], summed(_rows(program, days, edge.k_of(program))))


def _without(few: int, k: int) -> str:
    words = ngettext(
        "without %(few)d figure of fewer than %(k)d people",
        "without %(few)d figures of fewer than %(k)d people each",
        few,
    )
    return words % {"few": few, "k": k} if few else ""


def _rows(program: MiniProgram, asked: dict[str, Any], k: int) -> Sequence[Row]:
    return decided(program_id=program.pk, zone=ZoneInfo(program.zone), first=asked["first"], last=asked["last"], k=k)


def _rows_for(program: MiniProgram, form: RangeForm, k: int) -> Sequence[Row]:
    """Of a valid form, which says so where it takes too long."""
    try:
        return _rows(program, form.cleaned_data, k)
    except DatabaseError as error:
        if passing_of(error) is None:
            raise
        form.add_error(None, gettext("This takes longer than a page may: ask for fewer days."))
        return []


def _part(rows: Sequence[Row]) -> tuple[Sequence[Row], date | None]:
    """The newest whole days of no more than ROWS_TAKEN rows, but one at least, and the day from which the rest goes back."""
    if len(rows) <= ROWS_TAKEN:
        return rows, None
    rest = min(rows[ROWS_TAKEN].day, rows[0].day - timedelta(days=1))
    return [row for row in rows if row.day > rest], rest


def _audited(request: HttpRequest, program: MiniProgram, asked: dict[str, Any], rows: Sequence[Row]) -> None:
    """Who took which days along."""
    days = {name: asked[name].isoformat() for name in ("first", "last")}
    audit(
        program_id=program.pk,
        actor=officer(request),
        action="statistics.exported",
        target=f"program:{program.pk}",
        details={**days, "rows": len(rows)},
    )


def _lines(rows: Sequence[Row], k: int) -> Iterator[Line]:
    for row in rows:
        notice = f"{row.notice.get_audience_display()} v{row.notice.version}" if row.notice else "–"
        cells = [f"< {k}" if row.people[name] is None else str(row.people[name]) for name in COLUMNS]
        yield Line(row.day.isoformat(), localised(row.purpose.title), notice, cells)


def _csv(rows: Sequence[Row], asked: dict[str, Any], rest: date | None) -> HttpResponse:
    """Codes rather than words, so that it reads the same in every language; empty where a figure is not told. Where it has not
    all days the last row says until when the rest is.
    """
    written = io.StringIO()
    writer = csv.writer(written)
    counted = [column for name in COLUMNS for column in (name, f"{name}_status")]
    writer.writerow(["day", "purpose", "audience", "version", "sha256", *counted])
    for row in rows:
        notice = [row.notice.audience, row.notice.version, row.notice.sha256] if row.notice else ["", "", ""]
        told = [row.people[name] for name in COLUMNS]
        cells = [cell for people in told for cell in (people, "suppressed" if people is None else "ok")]
        writer.writerow([row.day.isoformat(), row.purpose.code, *notice, *cells])
    if rest is not None:
        writer.writerow(["cut", f"last={rest.isoformat()}"])
    response = HttpResponse(written.getvalue(), content_type="text/csv; charset=utf-8")
    name = f"consents-{asked['first']}-{asked['last']}.csv"
    response["Content-Disposition"] = f'attachment; filename="{name}"'
    response["Cache-Control"] = "no-store"
    return response
