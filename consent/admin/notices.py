"""Purposes and the notices that told of them, readable in every language they were published in."""

from typing import Any

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.urls import reverse
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from consent.admin import reading
from consent.admin.assessing import ACTIVATE_PERMISSION, ASSESS_PERMISSION, Assessed, standing
from consent.admin.base import Owned, OwnedInline, at, localised
from consent.notices.models import Ground, ImpactAssessment, Notice, NoticePurpose, Purpose
from consent.notices.queries import changed
from consent.notices.reading import readings

EFFECTIVE, PUBLISHED = at("effective_at", _("effective at")), at("published_at", _("published at"))


def link_to(notice: Notice | None) -> SafeString:
    """The notice as people name it, leading to its page."""
    if notice is None:
        return SafeString("–")
    address = reverse("admin:consent_notice_change", args=[notice.pk])
    return format_html(
        '<a href="{}" class="text-link">{} v{}</a>', address, notice.get_audience_display(), notice.version
    )


@admin.register(Notice)
class Notices(Owned):
    """Published versions, newest first. A published notice never changes."""

    icon, rank = "description", 30
    list_display = ["shown_title", "audience", "version", EFFECTIVE, PUBLISHED]
    list_filter = ["audience"]
    ordering = ["-effective_at", "-version"]
    fieldsets = [
        (None, {"fields": [("audience", "version"), ("effective_at", "published_at"), "shown_sha256"]}),
    ]
    readonly_fields = ["shown_sha256"]
    change_form_after_template = "consent/admin/notice_body.html"
    change_form_outer_after_template = "consent/admin/difference.html"

    @admin.display(description=_("title"))
    def shown_title(self, notice: Notice) -> str:
        return localised(notice.body["title"])

    @admin.display(description="SHA-256")
    def shown_sha256(self, notice: Notice) -> SafeString:
        return format_html('<code style="word-break: break-all">{}</code>', notice.sha256)

    def change_view(
        self, request: HttpRequest, object_id: str, form_url: str = "", extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        notice = self.get_object(request, object_id)
        context = {}
        if notice is not None:
            context = {"readings": readings(notice.body), "difference": reading.shown(changed(notice))}
        return super().change_view(request, object_id, form_url, (extra_context or {}) | context)


class ToldIn(OwnedInline):
    """What each notice said of the purpose."""

    model = NoticePurpose
    verbose_name_plural = _("what the notices say of it")
    ordering = ["-notice__effective_at"]
    fields = [
        "shown_notice",
        "shown_categories",
        "shown_attributes",
        "shown_retention",
        "shown_validity",
        "shown_material",
    ]

    def get_queryset(self, request: HttpRequest) -> QuerySet[NoticePurpose]:
        return super().get_queryset(request).select_related("notice")

    @admin.display(description=_("notice"))
    def shown_notice(self, told: NoticePurpose) -> SafeString:
        return link_to(told.notice)

    @admin.display(description=_("categories"))
    def shown_categories(self, told: NoticePurpose) -> str:
        return ", ".join(told.categories)

    @admin.display(description=_("profile attributes"))
    def shown_attributes(self, told: NoticePurpose) -> str:
        return ", ".join(told.attributes) or "–"

    @admin.display(description=_("retention, days"))
    def shown_retention(self, told: NoticePurpose) -> int:
        return told.retention_days

    @admin.display(description=_("consent valid, days"))
    def shown_validity(self, told: NoticePurpose) -> int | str:
        return told.validity_days or "–"

    @admin.display(description=_("material change"), boolean=True)
    def shown_material(self, told: NoticePurpose) -> bool:
        return told.material


class Assessments(OwnedInline):
    """That its impact was assessed, the newest first."""

    model = ImpactAssessment
    verbose_name_plural = _("impact assessments")
    ordering = ["-assessed_on", "-id"]
    fields = ["reference", "assessed_on", "shown_covers", "conclusion"]

    @admin.display(description=_("what it looked at"))
    def shown_covers(self, assessment: ImpactAssessment) -> str:
        return gettext(", ").join(str(Ground(ground).label) for ground in assessment.covers) or "–"


@admin.register(Purpose)
class Purposes(Assessed):
    """Why personal information is processed."""

    icon, rank = "target", 40
    list_display = ["code", "shown_title", "necessary", "separate_consent", "active", at("created_at", _("created at"))]
    list_filter = ["active"]
    ordering = ["code"]
    inlines = [ToldIn]
    change_form_outer_before_template = "consent/admin/purpose_state.html"
    fieldsets = [
        (None, {"fields": [("code", "shown_title"), ("necessary", "active"), ("separate_consent", "created_at")]}),
    ]
    readonly_fields = ["shown_title"]

    def get_inlines(self, request: HttpRequest, obj: Purpose | None) -> list[Any]:
        """What is not there has no empty table: the page's head says whether an assessment is missing."""
        return [*([Assessments] if obj and obj.assessments.exists() else []), *self.inlines]

    @admin.display(description=_("title"))
    def shown_title(self, purpose: Purpose) -> str:
        return localised(purpose.title)

    def change_view(
        self, request: HttpRequest, object_id: str, form_url: str = "", extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        purpose = self.get_object(request, object_id)
        context = {
            "may_assess": request.user.has_perm(ASSESS_PERMISSION),
            "may_activate": request.user.has_perm(ACTIVATE_PERMISSION),
            **(standing(purpose) if purpose else {}),
        }
        return super().change_view(request, object_id, form_url, (extra_context or {}) | context)
