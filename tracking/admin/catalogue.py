"""The event catalogue: kept in the mini-program's own repository and imported from there; its status is set here too."""

from typing import Any

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.urls import reverse
from django.utils.safestring import SafeString
from django.utils.translation import gettext_lazy as _

from consent.admin.badges import badge
from consent.admin.base import at, localised
from consent.admin.records import PurposeFilter
from tracking.admin.declarations import rows, shown, translated
from tracking.admin.status import STATUS_PERMISSION, StatusChanged, offered
from tracking.models import EventType, EventTypeVersion

UPDATED = at("updated_at", _("updated at"))
STATUSES = {"draft": "warning", "active": "success"}
VERSIONS_SHOWN = 50


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
