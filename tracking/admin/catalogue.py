"""The event catalogue, view only: it is kept in the mini-program's own repository and imported from there."""

from typing import Any

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from consent.admin.badges import badge
from consent.admin.base import Owned, at, localised
from tracking.models import EventType

UPDATED = at("updated_at", _("updated at"))
STATUSES = {"draft": "warning", "active": "success"}


def bounds(declared: dict[str, Any]) -> str:
    """A property's declaration in a line: its type, and what bounds it."""
    said = [str(declared.get("type", ""))]
    if declared.get("required"):
        said.append(gettext("required"))
    if declared.get("enum"):
        said.append(gettext("one of %(values)s") % {"values": ", ".join(declared["enum"])})
    if declared.get("pattern"):
        said.append(gettext("pattern %(pattern)s") % {"pattern": declared["pattern"]})
    if declared.get("max_length"):
        said.append(gettext("at most %(length)d characters") % {"length": declared["max_length"]})
    return "; ".join(said)


@admin.register(EventType)
class EventTypes(Owned):
    """What may be recorded, for which purpose."""

    icon, rank = "list_alt", 10
    list_display = ["name", "description", "purpose_title", "shown_status", "shown_categories", "version", UPDATED]
    list_filter = ["status"]
    ordering = ["name"]
    fieldsets = [
        (None, {"fields": [("name", "shown_status"), ("purpose", "shown_categories"), "description"]}),
        (None, {"fields": ["shown_properties", ("version", "updated_at")]}),
    ]
    readonly_fields = ["shown_status", "shown_categories", "shown_properties"]

    def get_queryset(self, request: HttpRequest) -> QuerySet[EventType]:
        return super().get_queryset(request).select_related("purpose")

    @admin.display(description=_("purpose"))
    def purpose_title(self, event: EventType) -> str:
        return localised(event.purpose.title)

    @admin.display(description=_("status"))
    def shown_status(self, event: EventType) -> SafeString:
        return badge(event.get_status_display(), STATUSES.get(event.status, ""))

    @admin.display(description=_("categories"))
    def shown_categories(self, event: EventType) -> str:
        return ", ".join(event.categories)

    @admin.display(description=_("properties"))
    def shown_properties(self, event: EventType) -> SafeString | str:
        lines = [(name, bounds(declared)) for name, declared in sorted(event.properties.items())]
        return format_html("<ul>{}</ul>", format_html_join("", "<li><code>{}</code> {}</li>", lines)) if lines else "–"
