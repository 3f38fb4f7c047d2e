"""Consent records: the evidence, shown and never changed. Neither the subject nor a birthday nor sealed evidence is shown."""

from typing import Any

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils.safestring import SafeString
from django.utils.translation import gettext_lazy as _

from consent.admin.badges import CONSENT_STATES, badge, word
from consent.admin.base import UncountedPaginator, at, localised, picked
from consent.admin.notices import link_to
from consent.admin.statistics import Statistics
from consent.notices.models import Purpose
from consent.records.models import ConsentRecord


class PurposeFilter(admin.SimpleListFilter):
    """The purposes of the picked mini-program; Django's own filter would ask for everybody's."""

    title = _("purpose")
    parameter_name = "purpose"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        program = picked(request)
        if program is None:
            return []
        purposes = Purpose.objects.filter(program_id=program.pk).order_by("code")
        return [(purpose.code, localised(purpose.title)) for purpose in purposes]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        return queryset.filter(purpose__code=self.value()) if self.value() else queryset


@admin.register(ConsentRecord)
class ConsentRecords(Statistics):
    """Newest first, by pages without a count: there may be millions."""

    icon, rank = "fact_check", 20
    list_before_template = "consent/admin/statistics_link.html"
    paginator = UncountedPaginator
    list_display = [
        "number",
        "purpose_title",
        "shown_state",
        "shown_method",
        "shown_act",
        "shown_notice",
        at("corrected_at", _("corrected at")),
        at("authorises_until", _("authorises until")),
    ]
    list_filter = [PurposeFilter, "state"]
    ordering = ["-id"]
    fieldsets = [
        (
            None,
            {
                "fields": [
                    "record_id",
                    ("shown_state", "client"),
                    ("purpose", "shown_notice"),
                    ("shown_act", "shown_method"),
                ]
            },
        ),
        (None, {"fields": [("locale", "shown_age")]}),
        (
            _("Times"),
            {"fields": [("occurred_at", "corrected_at"), "received_at", ("authorises_from", "authorises_until")]},
        ),
    ]
    readonly_fields = ["shown_state", "shown_notice", "shown_act", "shown_method", "shown_age"]

    def get_queryset(self, request: HttpRequest) -> QuerySet[ConsentRecord]:
        return super().get_queryset(request).select_related("purpose", "notice", "client").defer("evidence", "salt")

    @admin.display(description=_("record id"))
    def number(self, record: ConsentRecord) -> str:
        return str(record.record_id)[:8]

    @admin.display(description=_("purpose"))
    def purpose_title(self, record: ConsentRecord) -> str:
        return localised(record.purpose.title)

    @admin.display(description=_("state"))
    def shown_state(self, record: ConsentRecord) -> SafeString:
        return badge(record.get_state_display(), CONSENT_STATES.get(record.state, ""))

    @admin.display(description=_("notice"))
    def shown_notice(self, record: ConsentRecord) -> SafeString:
        return link_to(record.notice)

    @admin.display(description=_("method"))
    def shown_method(self, record: ConsentRecord) -> str:
        return word(record.method) if record.method else "–"

    @admin.display(description=_("act"))
    def shown_act(self, record: ConsentRecord) -> str:
        return word(record.act) if record.act else "–"

    @admin.display(description=_("age band"))
    def shown_age(self, record: ConsentRecord) -> str:
        return word(record.age_band)
