"""The event catalogue: kept in the mini-program's own repository and imported from there; its status is set here too."""

from collections.abc import Iterator
from datetime import UTC, timedelta
from typing import Any
from urllib.parse import urlencode

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.urls import reverse
from django.utils.safestring import SafeString
from django.utils.translation import gettext, ngettext
from django.utils.translation import gettext_lazy as _

from consent import edge
from consent.admin.badges import badge
from consent.admin.base import at, localised
from consent.admin.figures import Figure, Section
from consent.admin.records import PurposeFilter
from consent.notices.models import Purpose
from consent.programs.models import MiniProgram
from tracking import retention
from tracking.admin.declarations import rows, shown, translated
from tracking.admin.status import STATUS_PERMISSION, StatusChanged, offered
from tracking.models import EventType, EventTypeVersion

UPDATED = at("updated_at", _("updated at"))
STATUSES = {"draft": "warning", "active": "success"}
VERSIONS_SHOWN = 50
SOON = timedelta(days=7)


@admin.register(EventType)
class EventTypes(StatusChanged):
    """What may be recorded, for which purpose."""

    icon, rank = "list_alt", 10
    list_display = [
        "name",
        "shown_description",
        "purpose_title",
        "shown_status",
        "shown_categories",
        "shown_number",
        "version",
        UPDATED,
    ]
    list_filter = ["status", PurposeFilter]
    ordering = ["name"]
    fieldsets = [
        (None, {"fields": [("name", "shown_status"), ("purpose", "shown_categories"), "shown_description"]}),
        (None, {"fields": [("version", "updated_at")]}),
    ]
    readonly_fields = ["shown_status", "shown_categories", "shown_description"]
    change_form_outer_before_template = "tracking/admin/event_type_status.html"
    change_form_after_template = "tracking/admin/event_type.html"

    def figures(self, request: HttpRequest, program: MiniProgram) -> Iterator[Figure]:
        """Days whose events go soon, a line a purpose."""
        if not self.has_view_permission(request):
            return
        today = edge.now().astimezone(UTC).date()
        titles = dict(Purpose.objects.filter(program_id=program.pk).values_list("code", "title"))
        for code, days in retention.coming(program_id=program.pk, today=today, within=SOON):
            words = gettext("Events of “%(purpose)s” whose time is over within a week")
            told = ngettext("%(count)d day", "%(count)d days", len(days)) % {"count": len(days)}
            href = f"{reverse('admin:tracking_eventtype_changelist')}?{urlencode({'purpose': code})}"
            span = gettext("of %(first)s to %(last)s (UTC)") % {"first": days[0], "last": days[-1]}
            yield Figure(Section.ERASURES, words % {"purpose": localised(titles[code])}, told, href, note=span)

    def get_queryset(self, request: HttpRequest) -> QuerySet[EventType]:
        return super().get_queryset(request).select_related("purpose")

    @admin.display(description=_("purpose"))
    def purpose_title(self, event: EventType) -> str:
        return localised(event.purpose.title)

    @admin.display(description=_("description"))
    def shown_description(self, event: EventType) -> str:
        return translated(event.description)

    @admin.display(description=_("status"))
    def shown_status(self, event: EventType) -> SafeString:
        return badge(event.get_status_display(), STATUSES.get(event.status, ""))

    @admin.display(description=_("categories"))
    def shown_categories(self, event: EventType) -> str:
        return ", ".join(event.categories)

    @admin.display(description=_("properties"))
    def shown_number(self, event: EventType) -> int:
        return len(event.properties)

    def change_view(
        self, request: HttpRequest, object_id: str, form_url: str = "", extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        event = self.get_object(request, object_id)
        context = self._shown(request, event) if isinstance(event, EventType) else {}
        return super().change_view(request, object_id, form_url, (extra_context or {}) | context)

    def _shown(self, request: HttpRequest, event: EventType) -> dict[str, Any]:
        kept = EventTypeVersion.objects.filter(program_id=event.program_id, event_type=event).order_by("-version")
        versions = list(kept[: VERSIONS_SHOWN + 1])
        may_set = request.user.has_perm(STATUS_PERMISSION)
        return {
            "declared": rows(event.properties),
            "versions": list(shown(versions, VERSIONS_SHOWN)),
            "earlier": len(versions) > VERSIONS_SHOWN,
            "steps": [
                {"step": step, "href": reverse(f"admin:tracking_eventtype_{step.name}", args=[event.pk])}
                for step in (offered(event) if may_set else [])
            ],
        }
