"""The log of incidents. An entry is added and never changed: the newest stands, and the page keeps those before it."""

from collections.abc import Iterator
from datetime import timedelta
from typing import Any

from django import forms
from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.db import DatabaseError
from django.db.models import OuterRef, Q, QuerySet, Subquery
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseBase
from django.shortcuts import redirect
from django.template.response import TemplateResponse
from django.urls import URLPattern, path, reverse
from django.utils.formats import date_format
from django.utils.safestring import SafeString
from django.utils.text import capfirst
from django.utils.timezone import localtime
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _
from unfold.widgets import (
    DATETIME_CLASSES,
    UnfoldAdminSelectWidget,
    UnfoldAdminTextInputWidget,
    UnfoldBooleanWidget,
)

from consent import edge
from consent.admin.badges import badge
from consent.admin.base import Owned, at, officer, own_page, picked
from consent.admin.figures import Figure, Section, counted, waiting
from consent.admin.minor_access import APPROVE_PERMISSION, REFUSED
from consent.admin.texts import FAULT, TextForm, free_text
from consent.api.problems import passing_of
from consent.errors import Conflict, Invalid, NotFound, Problem
from consent.processing import incidents
from consent.processing.incidents import Said
from consent.processing.models import Incident, IncidentAccess, IncidentEntry
from consent.programs.models import MiniProgram
from consent.rights import minor_access
from consent.rights.affected import known_tables
from consent.rights.classification import grade_in_words, kind_in_words

# Of an incident with what its newest entry says: one of whom nobody was told stands in both lists.
UNTOLD = {
    "authority": Q(closed=False, authority_at__isnull=True),
    "people": Q(closed=False, people_at__isnull=True, people_not_told=""),
}
ADD_PERMISSION, DOWNLOAD_PERMISSION = "consent.add_incident", "consent.download_affected"
LIST_WAITS = _(
    "There are people under 18 among them: another officer has to approve on this incident's page that you take their"
    " pseudonyms along. Then download them again, within an hour; it is done once."
)
FIELDS = tuple(Said.__dataclass_fields__)
_FAULTS = {
    "found_in_the_future": _("It was found now or earlier."),
    "notified_out_of_time": _("Nobody is notified before it was found, nor in the future."),
    "entered_meanwhile": _("Somebody else has added an entry since this page was shown: go back and read it first."),
    "several_scopes": _("Name a key, a table or a window of time, and open an incident for each."),
    "invalid_window": _("A window of time has a begin and a later end."),
    "unknown_key": _("Write the key's version, as 1, or with its family, as index:1."),
    "not_ready_to_close": _(
        "Before it is closed, say when the authority was notified, when the people were or why they need not be, and what"
        " was done (PIPL 57)."
    ),
    "scope_unknown": _("Enter first which key, table or window of time is affected."),
}


class _Moment(forms.DateTimeField):
    """To the minute, in the mini-program's time zone."""

    def __init__(self, label: Any, *, required: bool = False) -> None:
        attrs = {"type": "datetime-local", "class": " ".join(DATETIME_CLASSES)}
        widget = forms.DateTimeInput(attrs, format="%Y-%m-%dT%H:%M")
        super().__init__(label=capfirst(label), required=required, widget=widget)


class EntryForm(TextForm):
    """All that is known of the incident now."""

    happened = free_text(_("what happened"), required=True, help_text=_("Name no person: this log is kept for good."))
    found_at = _Moment(_("found at"), required=True)
    key = forms.CharField(
        label=capfirst(_("key of the keyring")),
        max_length=40,
        required=False,
        empty_value=None,
        widget=UnfoldAdminTextInputWidget,
        help_text=_(
            "What is affected, where it is known: a key's version (1, or index:1), a table, or what was written within a"
            " window of time."
        ),
    )
    table = forms.TypedChoiceField(
        label=capfirst(_("table")),
        choices=lambda: [("", _("Select value")), *((name, name) for name in known_tables())],
        required=False,
        empty_value=None,
        widget=UnfoldAdminSelectWidget,
    )
    since = _Moment(_("from"))
    until = _Moment(_("until"))
    authority_at = _Moment(_("authority notified at"))
    people_at = _Moment(_("people notified at"))
    people_not_told = free_text(
        _("why people need not be notified"),
        help_text=_("Only where what was done keeps harm from them, and the authority does not ask for it (PIPL 57)."),
    )
    measures = free_text(_("measures"), help_text=_("What was done, and what people can do themselves."))
    closed = forms.BooleanField(label=capfirst(_("closed")), required=False, widget=UnfoldBooleanWidget)


class _Approved(forms.Form):
    access = forms.UUIDField()


class StandingFilter(admin.SimpleListFilter):
    """Who has yet to be told, as the newest entry has it."""

    title = _("standing")
    parameter_name = "standing"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, Any]]:
        return [
            ("authority", _("authority not notified")),
            ("people", _("people not notified")),
            ("list", _("a list of people waits for another officer")),
            ("open", _("open")),
            ("closed", _("closed")),
        ]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        if self.value() == "list":
            return _with_list_waiting(request, queryset)
        wanted = {**UNTOLD, "open": Q(closed=False), "closed": Q(closed=True)}.get(self.value() or "")
        return queryset if wanted is None else queryset.filter(wanted)


def _with_list_waiting(request: HttpRequest, incidents: QuerySet[Any]) -> QuerySet[Any]:
    program = picked(request)
    assert program is not None, "Owned asks for one first"
    asked = minor_access.lists_waiting(program.pk, now=edge.now())
    return incidents.filter(pk__in=asked.order_by().values("entry__incident"))


def _lists_waiting(incident: Incident) -> QuerySet[IncidentAccess]:
    asked = minor_access.lists_waiting(incident.program_id, now=edge.now())
    return asked.filter(entry__incident=incident)


@admin.register(Incident)
class Incidents(Owned):
    """The latest first."""

    icon, rank = "emergency_home", 14
    list_display = [
        "shown_number",
        at("opened_at", _("opened at")),
        "shown_standing",
        at("found_at", _("found at")),
        at("authority_at", _("authority notified at")),
        at("people_at", _("people notified at")),
    ]
    list_filter = [StandingFilter]
    ordering = ["-id"]
    fieldsets = [(None, {"fields": [("shown_number", "shown_standing"), ("opened_at", "opened_by")]})]
    readonly_fields = ["shown_number", "shown_standing"]
    change_form_outer_after_template = "consent/admin/incident.html"

    def figures(self, request: HttpRequest, program: MiniProgram) -> Iterator[Figure]:
        """Who has yet to be told (PIPL 57), and which lists of them another officer has to approve."""
        if not self.has_view_permission(request):
            return
        for words, key in (
            (gettext("authority not notified"), "authority"),
            (gettext("people not notified"), "people"),
        ):
            href = f"{reverse('admin:consent_incident_changelist')}?standing={key}"
            found = counted(self.get_queryset(request).filter(UNTOLD[key]))
            yield waiting(Section.INCIDENTS, words, found, href=href, colour="danger")
        href = f"{reverse('admin:consent_incident_changelist')}?standing=list"
        listed = counted(_with_list_waiting(request, self.get_queryset(request)))
        yield waiting(Section.INCIDENTS, gettext("lists of people that wait for another officer"), listed, href=href)

    def get_queryset(self, request: HttpRequest) -> QuerySet[Incident]:
        newest = IncidentEntry.objects.filter(incident=OuterRef("pk")).order_by("-id")
        shown = ("closed", "found_at", "authority_at", "people_at", "people_not_told")
        rows: QuerySet[Incident] = super().get_queryset(request)
        return rows.annotate(**{name: Subquery(newest.values(name)[:1]) for name in shown})

    @admin.display(description=_("number"))
    def shown_number(self, incident: Incident) -> str:
        return f"#{incident.pk}"

    @admin.display(description=_("standing"))
    def shown_standing(self, incident: Any) -> SafeString:
        if incident.closed:
            return badge(gettext("closed"), "success")
        if incident.authority_at is None:
            return badge(gettext("authority not notified"), "danger")
        told = incident.people_at is not None or incident.people_not_told
        return badge(gettext("open"), "info") if told else badge(gettext("people not notified"), "warning")

    def has_add_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return request.user.has_perm(ADD_PERMISSION)

    def get_urls(self) -> list[URLPattern]:
        own = [
            path("<int:object_id>/entry/", own_page(self, self.entry_view), name="consent_incident_entry"),
            path("<int:object_id>/affected/", own_page(self, self.affected_view), name="consent_incident_affected"),
            path(
                "<int:object_id>/pseudonyms/", own_page(self, self.pseudonyms_view), name="consent_incident_pseudonyms"
            ),
            path("<int:object_id>/approve/", own_page(self, self.approve_view), name="consent_incident_approve"),
        ]
        return [*own, *super().get_urls()]

    def add_view(self, request: HttpRequest, form_url: str = "", extra_context: Any = None) -> HttpResponseBase:  # type: ignore[override]
        """A new incident, with its first entry."""
        if not self.has_add_permission(request):
            raise PermissionDenied
        program = picked(request)
        assert program is not None  # OfficersProgram asks for one before it shows an owned page

        def keep(said: Said) -> int:
            return incidents.open_incident(program_id=program.pk, said=said, by=officer(request)).pk

        now = localtime(edge.now()) - timedelta(minutes=1)
        return self._asked(request, keep, title=gettext("Open an incident"), initial={"found_at": now})

    def entry_view(self, request: HttpRequest, object_id: int) -> HttpResponseBase:
        """One more entry, which begins as the newest one stands."""
        incident = self._incident(request, object_id, ADD_PERMISSION)

        newest = incidents.standing(incident.program_id, incident.pk)
        read = request.POST.get("after", "")

        def keep(said: Said) -> int:
            incidents.add(
                program_id=incident.program_id,
                incident_id=incident.pk,
                said=said,
                after=int(read) if read.isascii() and read.isdecimal() else 0,
                by=officer(request),
            )
            return incident.pk

        initial = {name: getattr(newest, name) for name in FIELDS}
        more = {"original": incident, "after": read or newest.pk}
        return self._asked(request, keep, title=gettext("Add an entry"), initial=initial, **more)

    def affected_view(self, request: HttpRequest, object_id: int) -> HttpResponseBase:
        """The page asks; a POST counts whom and what the incident affects, which the audit log keeps."""
        incident = self._incident(request, object_id, "consent.view_incident")
        context: dict[str, Any] = {"may_download": request.user.has_perm(DOWNLOAD_PERMISSION)}
        if request.method == "POST":
            try:
                found = incidents.count(program_id=incident.program_id, incident_id=incident.pk, by=officer(request))
                context |= _counted(found)
            except Invalid as problem:
                return self._refused(request, incident, problem)
            except DatabaseError as error:
                return self._too_long(request, incident, error)
        return self._page(
            request, "incident_affected.html", title=gettext("Who is affected"), original=incident, **context
        )

    def pseudonyms_view(self, request: HttpRequest, object_id: int) -> HttpResponseBase:
        """The page asks; a POST answers a text file with a pseudonym a line."""
        incident = self._incident(request, object_id, DOWNLOAD_PERMISSION)
        if request.method != "POST":
            title = gettext("Download the pseudonyms")
            return self._page(request, "incident_pseudonyms.html", title=title, original=incident)
        try:
            listed = incidents.pseudonyms(program_id=incident.program_id, incident_id=incident.pk, by=officer(request))
        except Invalid as problem:
            if problem.code == "too_many_to_list":
                return self._by_command(request, incident)
            return self._refused(request, incident, problem)
        except DatabaseError as error:
            return self._too_long(request, incident, error)
        if listed is None:
            messages.warning(request, str(LIST_WAITS))
            return self._back(incident)
        response = HttpResponse(listed, content_type="text/plain; charset=us-ascii")
        response["Content-Disposition"] = f'attachment; filename="incident-{incident.pk}.txt"'
        response["Cache-Control"] = "no-store"
        return response

    def approve_view(self, request: HttpRequest, object_id: int) -> HttpResponseBase:
        """The lists that officers ask for, with minors among them; a POST approves one."""
        incident = self._incident(request, object_id, APPROVE_PERMISSION)
        if request.method == "POST":
            named = _Approved(request.POST)
            try:
                if not named.is_valid():
                    raise NotFound("not_found", "name what is approved")
                minor_access.approve_list(
                    program_id=incident.program_id, access_id=named.cleaned_data["access"], by=officer(request)
                )
            except (Conflict, NotFound) as problem:
                messages.warning(request, str(REFUSED.get(problem.code, REFUSED["not_waiting"])))
            else:
                messages.success(
                    request, gettext("It is approved: the officer who asked may take them along once within an hour.")
                )
            return self._back(incident)
        return self._page(
            request,
            "incident_approve.html",
            title=gettext("Approve a list with people under 18"),
            original=incident,
            asked=list(_lists_waiting(incident)),
            own=officer(request),
        )

    def change_view(self, request: HttpRequest, object_id: str, form_url: str = "", extra_context: Any = None) -> Any:
        incident = self.get_object(request, object_id)
        told = [_told(entry) for entry in incident.entries.order_by("-id")] if incident is not None else []
        may = {
            "may_add": request.user.has_perm(ADD_PERMISSION),
            "may_download": request.user.has_perm(DOWNLOAD_PERMISSION),
            "may_approve": request.user.has_perm(APPROVE_PERMISSION)
            and incident is not None
            and _lists_waiting(incident).exists(),
        }
        context = {"newest": told[0] if told else None, "earlier": told[1:], **may}
        return super().change_view(request, object_id, form_url, {**(extra_context or {}), **context})

    def _incident(self, request: HttpRequest, object_id: int, permission: str) -> Incident:
        """Raises PermissionDenied, Http404."""
        incident: Incident | None = self.get_object(request, str(object_id))
        if not self.has_view_permission(request, incident) or not request.user.has_perm(permission):
            raise PermissionDenied
        if incident is None:
            raise Http404
        return incident

    def _asked(self, request: HttpRequest, keep: Any, *, title: str, initial: Any, **more: Any) -> HttpResponseBase:
        """The form of an entry; `keep` takes what it says and answers the incident's number."""
        form = EntryForm(request.POST if request.method == "POST" else None, initial=initial)
        if form.is_valid():
            try:
                number = keep(Said(**form.cleaned_data))
            except Problem as problem:
                form.refused(problem, _FAULTS)
            else:
                messages.success(request, gettext("The entry is kept."))
                return redirect(reverse("admin:consent_incident_change", args=[number]))
        return self._page(request, "incident_form.html", title=title, form=form, **more)

    def _page(self, request: HttpRequest, template: str, **context: Any) -> HttpResponseBase:
        response = TemplateResponse(
            request,
            f"consent/admin/{template}",
            {**self.admin_site.each_context(request), "opts": self.opts, **context},
        )
        response["Cache-Control"] = "no-store"
        return response

    def _refused(self, request: HttpRequest, incident: Incident, problem: Problem) -> HttpResponseBase:
        messages.warning(request, str(_FAULTS.get(problem.code, FAULT)))
        return self._back(incident)

    def _too_long(self, request: HttpRequest, incident: Incident, error: DatabaseError) -> HttpResponseBase:
        """Raises an error that does not pass."""
        if passing_of(error) is None:
            raise error
        return self._by_command(request, incident)

    def _by_command(self, request: HttpRequest, incident: Incident) -> HttpResponseBase:
        command = incidents.command(program_id=incident.program_id, incident_id=incident.pk)
        told = gettext("This takes longer than a page may: the operator of the service finds them by %(command)s.")
        messages.warning(request, told % {"command": command})
        return self._back(incident)

    def _back(self, incident: Incident) -> HttpResponseBase:
        return redirect(reverse("admin:consent_incident_change", args=[incident.pk]))


def _counted(found: incidents.Count) -> dict[str, Any]:
    """In words: rows of (class, grade, people), and of (field, people, grade, class)."""
    return {
        "subjects": found.subjects,
        "by_class": [(kind_in_words(name), grade_in_words(grade), people) for name, grade, people in found.by_class],
        "by_field": [
            (f"{field.table}.{field.column}", people, grade_in_words(field.grade), kind_in_words(field.classification))
            for field, people in found.by_field
        ],
    }


def _told(entry: IncidentEntry) -> dict[str, Any]:
    """An entry as the page shows it: when and by whom, and (name, what is said) of each field that says something."""
    lines = [
        (str(EntryForm.base_fields[name].label), _value(getattr(entry, name)))
        for name in FIELDS
        if getattr(entry, name) not in (None, "", False)
    ]
    return {"at": entry.at, "by": entry.by, "lines": lines}


def _value(value: Any) -> str:
    if value is True:
        return gettext("yes")
    return value if isinstance(value, str) else date_format(localtime(value), "Y-m-d H:i")
