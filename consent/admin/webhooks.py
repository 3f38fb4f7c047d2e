"""Webhook endpoints and their messages. A secret is shown once, on the page that answers its making, and kept in no session."""

from collections.abc import Iterator
from typing import Any

from django import forms
from django.conf import settings
from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.db import transaction
from django.db.models import QuerySet
from django.http import Http404, HttpRequest, HttpResponseBase
from django.shortcuts import redirect
from django.template.response import TemplateResponse
from django.urls import URLPattern, path, reverse
from django.utils.safestring import SafeString
from django.utils.text import capfirst
from django.utils.translation import gettext, ngettext
from django.utils.translation import gettext_lazy as _
from unfold.widgets import UnfoldAdminCheckboxSelectMultipleWidget, UnfoldAdminTextInputWidget, UnfoldBooleanWidget

from consent import edge
from consent.admin.badges import badge
from consent.admin.base import Owned, at, officer, own_page, picked
from consent.admin.figures import Figure, Section, counted, waiting
from consent.errors import Conflict, NotFound, Problem
from consent.programs.models import MiniProgram
from consent.webhooks import endpoints, queries
from consent.webhooks.models import Event, WebhookEndpoint, WebhookMessage

CHANGE_ENDPOINT, CHANGE_MESSAGE = "consent.change_webhookendpoint", "consent.change_webhookmessage"
ONCE_ATTRIBUTE = "zq_shown_once"
_FAULT = _("It could not be done; nothing was changed.")
_FAULTS = {
    "invalid_url": _("Give an https address of a host, without a user, a password or a fragment."),
    "unknown_event": _("Choose at least one event."),
    "erasure_not_told": _("Who holds personal data has to be told of erasures: choose that event too."),
    "switched_off": _("Nothing is sent to this endpoint: switch it on first."),
    "secret_rotating": _(
        "The secret before the newest one still signs: make a new one after the time at “secret before valid until”."
    ),
    "not_given_up": _("The message is delivered, or is being tried; nothing was changed."),
}


class EndpointForm(forms.ModelForm):  # type: ignore[type-arg]  # Django's class takes no parameter when it runs
    """A new endpoint; saving it is checked by the domain, whose faults are told here."""

    url = forms.CharField(
        label=capfirst(_("address")), max_length=endpoints.LONGEST_URL, widget=UnfoldAdminTextInputWidget
    )
    events = forms.MultipleChoiceField(
        label=capfirst(_("events")), choices=Event.choices, widget=UnfoldAdminCheckboxSelectMultipleWidget
    )
    acknowledges = forms.BooleanField(
        label=capfirst(_("holds personal data")),
        required=False,
        widget=UnfoldBooleanWidget,
        help_text=_("An erasure is complete only when this endpoint has answered 2xx to it."),
    )

    class Meta:
        model = WebhookEndpoint
        fields = ("url", "events", "acknowledges")

    def __init__(self, *args: Any, program_id: int, by: str, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._program_id, self._by, self.secret = program_id, by, ""

    def clean(self) -> dict[str, Any]:
        given = super().clean() or {}
        if not self.errors:
            try:
                with transaction.atomic():  # what is refused leaves the page's own transaction whole
                    self.instance, self.secret = endpoints.add(
                        vault=edge.vault(),
                        program_id=self._program_id,
                        url=given["url"],
                        events=given["events"],
                        acknowledges=given["acknowledges"],
                        plain=not settings.TLS,
                        by=self._by,
                    )
            except Problem as problem:
                raise forms.ValidationError(_FAULTS.get(problem.code, _FAULT)) from None
        return given

    def _post_clean(self) -> None:
        """The instance is made by the domain."""


class Done(Owned):
    """A row whose page links to pages that do something to it: each asks first, and a POST does it."""

    change_form_outer_before_template = "consent/admin/webhook_links.html"
    permission = ""
    deeds: tuple[tuple[str, Any, str], ...] = ()
    """Name, title and icon."""

    def offered(self, row: Any) -> set[str]:
        """The names of what may be done now."""
        raise NotImplementedError

    def warning(self, row: Any, name: str) -> str:
        """What else comes of it, for the page that asks."""
        return ""

    def do(self, request: HttpRequest, row: Any, name: str) -> HttpResponseBase:
        """Raises Conflict, NotFound."""
        raise NotImplementedError

    def get_urls(self) -> list[URLPattern]:
        own = [
            path(f"<uuid:object_id>/{name}/", own_page(self, self._page(name, title)), name=self._named(name))
            for name, title, _icon in self.deeds
        ]
        return [*own, *super().get_urls()]

    def _named(self, name: str) -> str:
        return f"consent_{self.opts.model_name}_{name}"

    def _page(self, name: str, title: Any) -> Any:
        def page(request: HttpRequest, object_id: Any) -> HttpResponseBase:
            row = self.get_object(request, str(object_id))
            if not self.has_view_permission(request, row) or not request.user.has_perm(self.permission):
                raise PermissionDenied
            if row is None or name not in self.offered(row):
                raise Http404
            if request.method != "POST":
                return self.asked(request, row, title, warning=self.warning(row, name))
            try:
                return self.do(request, row, name)
            except (Conflict, NotFound) as problem:
                messages.warning(request, str(_FAULTS.get(problem.code, _FAULT)))
                return self.back(row)

        return page

    def asked(self, request: HttpRequest, row: Any, title: Any, **more: Any) -> HttpResponseBase:
        context = {**self.admin_site.each_context(request), "title": title, "opts": self.opts, "original": row, **more}
        context["back"] = reverse(f"admin:{self._named('change')}", args=[row.pk])
        response = TemplateResponse(request, "consent/admin/webhook_deed.html", context)
        response["Cache-Control"] = "no-store"
        return response

    def back(self, row: Any) -> HttpResponseBase:
        return redirect(reverse(f"admin:{self._named('change')}", args=[row.pk]))

    def change_view(self, request: HttpRequest, object_id: str, form_url: str = "", extra_context: Any = None) -> Any:
        row = self.get_object(request, object_id)
        offered = self.offered(row) if row is not None and request.user.has_perm(self.permission) else set()
        links = [
            {"title": title, "icon": icon, "href": reverse(f"admin:{self._named(name)}", args=[object_id])}
            for name, title, icon in self.deeds
            if name in offered
        ]
        return super().change_view(request, object_id, form_url, {**(extra_context or {}), "links": links})


@admin.register(WebhookEndpoint)
class WebhookEndpoints(Done):
    """The oldest first."""

    icon, rank = "webhook", 62
    list_display = ["url", "shown_events", "active", "acknowledges", at("created_at", _("created at"))]
    ordering = ["created_at", "id"]
    readonly_fields = ["url", "shown_events", "active", "acknowledges", "released", "created_at", "previous_until"]
    fieldsets = [(None, {"fields": [*readonly_fields]})]
    permission = CHANGE_ENDPOINT
    deeds = (
        ("rotate", _("Make a new secret"), "key"),
        ("off", _("Switch it off"), "block"),
        ("on", _("Switch it on"), "check"),
    )

    def offered(self, row: WebhookEndpoint) -> set[str]:
        rotate = {"rotate"} if row.previous_until is None or row.previous_until <= edge.now() else set()
        off = {"off"} if row.active or (row.acknowledges and not row.released) else set()
        return rotate | off | (set() if row.active else {"on"})

    def warning(self, row: WebhookEndpoint, name: str) -> str:
        if name != "off" or not row.acknowledges or row.released:
            return ""
        number = queries.waiting_for(row.pk)
        told = ngettext(
            "%(number)d erasure waits for this endpoint. Switched off, none waits any more:"
            " do so once you know that it has erased.",
            "%(number)d erasures wait for this endpoint. Switched off, none waits any more:"
            " do so once you know that it has erased.",
            number,
        )
        return told % {"number": number}

    def do(self, request: HttpRequest, row: WebhookEndpoint, name: str) -> HttpResponseBase:
        by = officer(request)
        if name == "rotate":
            secret = endpoints.rotate(vault=edge.vault(), program_id=row.program_id, endpoint_id=row.pk, by=by)
            return self.asked(request, row, gettext("The new secret"), secret=secret)
        endpoints.switch(program_id=row.program_id, endpoint_id=row.pk, on=name == "on", by=by)
        messages.success(request, gettext("It is switched on.") if name == "on" else gettext("It is switched off."))
        return self.back(row)

    def get_queryset(self, request: HttpRequest) -> QuerySet[WebhookEndpoint]:
        return super().get_queryset(request).defer("sealed", "previous")

    @admin.display(description=_("events"))
    def shown_events(self, endpoint: WebhookEndpoint) -> str:
        return ", ".join(endpoint.events)

    def has_add_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return request.user.has_perm("consent.add_webhookendpoint")

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> Any:
        return () if obj is None else self.readonly_fields

    def get_fieldsets(self, request: HttpRequest, obj: Any = None) -> Any:
        return [(None, {"fields": EndpointForm.Meta.fields})] if obj is None else self.fieldsets

    def get_form(self, request: HttpRequest, obj: Any = None, change: bool = False, **kwargs: Any) -> Any:
        if obj is not None:
            return super().get_form(request, obj, change, **kwargs)
        made = super().get_form(
            request, obj, change, **{**kwargs, "form": EndpointForm, "fields": EndpointForm.Meta.fields}
        )
        program = picked(request)
        assert program is not None  # OfficersProgram asks for one before it shows an owned page
        bound = {"program_id": program.pk, "by": officer(request)}

        class Bound(made):  # type: ignore[misc,valid-type]  # Django makes the class it extends
            def __init__(self, *args: Any, **more: Any) -> None:
                super().__init__(*args, **more, **bound)

        return Bound

    def save_form(self, request: HttpRequest, form: Any, change: bool) -> Any:
        setattr(request, ONCE_ATTRIBUTE, form.secret)
        return form.instance

    def save_model(self, request: HttpRequest, obj: WebhookEndpoint, form: Any, change: Any) -> None:
        """Made already."""

    def save_related(self, request: HttpRequest, form: Any, formsets: Any, change: Any) -> None:
        """Nothing hangs on it."""

    def response_add(self, request: HttpRequest, obj: WebhookEndpoint, post_url_continue: Any = None) -> Any:
        return self.asked(request, obj, gettext("The new secret"), secret=getattr(request, ONCE_ATTRIBUTE))


class StandingFilter(admin.SimpleListFilter):
    """What became of a message."""

    title = _("standing")
    parameter_name = "standing"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, Any]]:
        return [("waiting", _("waiting")), ("delivered", _("delivered")), ("dead", _("given up"))]

    def queryset(self, request: HttpRequest, rows: QuerySet[WebhookMessage]) -> QuerySet[WebhookMessage]:
        if self.value() == "delivered":
            return rows.filter(delivered_at__isnull=False)
        if self.value() == "dead":
            return rows.filter(dead_at__isnull=False)
        if self.value() == "waiting":
            return rows.filter(delivered_at__isnull=True, dead_at__isnull=True)
        return rows


@admin.register(WebhookMessage)
class WebhookMessages(Done):
    """The latest first. Of whom a message tells is not shown."""

    icon, rank = "outgoing_mail", 63
    list_display = [
        "__str__",
        "event",
        "endpoint",
        "shown_standing",
        "attempts",
        "last_status",
        at("created_at", _("created at")),
    ]
    list_filter = [StandingFilter, "event"]
    list_select_related = ["endpoint"]
    ordering = ["-created_at", "id"]
    readonly_fields = ["shown_standing"]
    fieldsets = [
        (
            None,
            {
                "fields": [
                    ("event", "endpoint"),
                    ("shown_standing", "last_status"),
                    ("created_at", "attempts"),
                    ("next_attempt_at", "delivered_at", "dead_at"),
                ]
            },
        ),
    ]
    permission = CHANGE_MESSAGE
    deeds = (("again", _("Send it again"), "replay"),)

    def figures(self, request: HttpRequest, program: MiniProgram) -> Iterator[Figure]:
        if self.has_view_permission(request):
            dead = WebhookMessage.objects.filter(program_id=program.pk, dead_at__isnull=False)
            href = f"{reverse('admin:consent_webhookmessage_changelist')}?standing=dead"
            words = gettext("messages given up")
            yield waiting(Section.WEBHOOKS, words, counted(dead), href=href, colour="danger")

    def offered(self, row: WebhookMessage) -> set[str]:
        return {"again"} if row.dead_at is not None else set()

    def do(self, request: HttpRequest, row: WebhookMessage, name: str) -> HttpResponseBase:
        endpoints.send_again(program_id=row.program_id, message_id=row.pk, by=officer(request))
        messages.success(request, gettext("It is sent again within seconds."))
        return self.back(row)

    def get_queryset(self, request: HttpRequest) -> QuerySet[WebhookMessage]:
        return super().get_queryset(request).defer("data")

    @admin.display(description=_("standing"))
    def shown_standing(self, message: WebhookMessage) -> SafeString:
        if message.delivered_at is not None:
            return badge(gettext("delivered"), "success")
        return (
            badge(gettext("given up"), "danger") if message.dead_at is not None else badge(gettext("waiting"), "info")
        )
