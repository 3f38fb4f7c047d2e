"""The record of what officers and jobs did, and of what was given to whom."""

from django.contrib import admin
from django.utils.translation import gettext_lazy as _

from consent.admin.base import Owned, UncountedPaginator, at
from consent.ledger.models import AuditEntry, Disclosure


@admin.register(AuditEntry)
class AuditLog(Owned):
    """Newest first."""

    icon, rank = "history", 70
    paginator = UncountedPaginator
    list_display = [at("at", _("at")), "actor", "action", "target"]
    list_filter = [("at", admin.DateFieldListFilter)]
    ordering = ["-id"]
    fieldsets = [
        (None, {"fields": [("at", "actor"), ("action", "target"), "details"]}),
    ]


@admin.register(Disclosure)
class DisclosureLog(Owned):
    """Newest first."""

    icon, rank = "output", 75
    paginator = UncountedPaginator
    list_display = [at("at", _("at")), "recipient", "name", "ground", "subjects", "target"]
    list_filter = ["recipient", ("at", admin.DateFieldListFilter)]
    ordering = ["-at", "-id"]
    fieldsets = [
        (
            None,
            {
                "fields": [
                    ("at", "actor"),
                    ("recipient", "name"),
                    ("ground", "purpose"),
                    ("subjects", "target"),
                    "fields",
                ]
            },
        ),
    ]
