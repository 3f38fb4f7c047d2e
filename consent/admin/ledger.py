"""The record of what officers and jobs did."""

from django.contrib import admin
from django.utils.translation import gettext_lazy as _

from consent.admin.base import Owned, UncountedPaginator, at
from consent.ledger.models import AuditEntry


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
