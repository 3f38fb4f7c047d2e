"""What officers ask to see of minors: another officer approves it here, and is shown nothing of the person."""

from collections.abc import Iterator
from typing import Any

from django.contrib import admin, messages
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponseBase
from django.urls import reverse
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from consent import edge
from consent.admin import packages
from consent.admin.badges import badge
from consent.admin.base import at, officer
from consent.admin.figures import Figure, Section, counted, waiting
from consent.admin.find import link_to, may_find
from consent.admin.webhooks import Done
from consent.errors import Conflict
from consent.programs.models import MiniProgram
from consent.rights import minor_access, reveal
from consent.rights.minor_access import Standing
from consent.rights.models import Guarded, MinorAccess

REASONS = {**dict(packages.Reason.choices), **dict(reveal.Reason.choices)}
TOLD_WAITING = _(
    "This person is under 18: another officer has to approve that you see this. Then send the same form again, within"
    " an hour; it is shown once."
)
APPROVE_PERMISSION = "consent.change_minoraccess"


class StandingFilter(admin.SimpleListFilter):
    title = _("standing")
    parameter_name = "standing"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, Any]]:
        return [(Standing.WAITING.value, Standing.WAITING.label)]

    def queryset(self, request: HttpRequest, queryset: QuerySet[MinorAccess]) -> QuerySet[MinorAccess]:
        return minor_access.still_waiting(queryset, now=edge.now()) if self.value() == Standing.WAITING else queryset


@admin.register(MinorAccess)
class MinorAccesses(Done):
    """The latest first. Of whom it is about nothing is shown."""

    icon, rank = "supervisor_account", 15
    list_filter = [StandingFilter]
    list_display = [
        "__str__",
        "what",
        "shown_reason",
        "shown_request",
        "asked_by",
        at("asked_at", _("asked at")),
        "shown_standing",
    ]
    ordering = ["-asked_at", "id"]
    readonly_fields = ["shown_reason", "shown_request", "shown_standing"]
    fieldsets = [
        (
            None,
            {
                "fields": [
                    ("what", "shown_reason"),
                    ("shown_request", "reference"),
                    "shown_standing",
                    ("asked_by", "asked_at"),
                    ("approved_by", "approved_at"),
                    "used_at",
                ]
            },
        ),
    ]
    change_form_outer_before_template = "consent/admin/minor_access_links.html"
    permission = APPROVE_PERMISSION
    deeds = (("approve", _("Approve"), "check"),)

    def figures(self, request: HttpRequest, program: MiniProgram) -> Iterator[Figure]:
        if self.has_view_permission(request):
            found = counted(minor_access.still_waiting(self.get_queryset(request), now=edge.now()))
            href = f"{reverse('admin:consent_minoraccess_changelist')}?standing={Standing.WAITING.value}"
            yield waiting(Section.REQUESTS, gettext("minors’ data that wait for another officer"), found, href=href)

    def offered(self, row: MinorAccess) -> set[str]:
        return {"approve"} if minor_access.standing(row, edge.now()) == Standing.WAITING else set()

    def do(self, request: HttpRequest, row: MinorAccess, name: str) -> HttpResponseBase:
        try:
            minor_access.approve(program_id=row.program_id, access_id=row.pk, by=officer(request))
        except Conflict as problem:
            messages.warning(request, str(REFUSED[problem.code]))
        else:
            messages.success(request, gettext("It is approved: the officer who asked may see it once within an hour."))
        return self.back(row)

    def asked(self, request: HttpRequest, row: MinorAccess, title: Any, **more: Any) -> HttpResponseBase:
        said = [row.get_what_display(), self.shown_reason(row), row.reference, row.asked_by]
        told = " · ".join(filter(None, said))
        return super().asked(request, row, title, told=told, **more)

    def change_view(self, request: HttpRequest, object_id: str, form_url: str = "", extra_context: Any = None) -> Any:
        """Whoever asked approves nothing, and is led back to the person; nobody else is."""
        row = self.get_object(request, object_id)
        own, person = False, None
        if row is not None and row.asked_by == officer(request):
            own = True
            # Over, it leads nowhere any more: whoever wants to look again searches again, which is counted.
            stands = minor_access.standing(row, edge.now()) in (Standing.WAITING, Standing.USABLE)
            if stands and row.what == Guarded.VALUES and may_find(request):
                person = link_to(request, row.program_id, row.subject_id)
        shown = {"own": own, "person": person}
        return super().change_view(request, object_id, form_url, {**(extra_context or {}), **shown})

    @admin.display(description=_("reason"))
    def shown_reason(self, access: MinorAccess) -> str:
        return str(REASONS.get(access.reason, access.reason))

    @admin.display(description=_("request"))
    def shown_request(self, access: MinorAccess) -> SafeString | str:
        if access.request_id is None:
            return "–"
        address = reverse("admin:consent_subjectrequest_change", args=[access.request_id])
        return format_html('<a href="{}" class="text-link">{}</a>', address, str(access.request_id)[:8])

    @admin.display(description=_("standing"))
    def shown_standing(self, access: MinorAccess) -> SafeString:
        found = Standing(minor_access.standing(access, edge.now()))
        return badge(str(found.label), _COLOURS.get(found, ""))


_COLOURS = {Standing.WAITING: "warning", Standing.USABLE: "success"}
REFUSED = {
    "own_access": _("You asked for this yourself: another officer approves it."),
    "not_waiting": _("It was approved meanwhile, or has waited for more than a day; nothing was changed."),
}
