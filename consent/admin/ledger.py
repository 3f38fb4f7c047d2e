"""The record of what officers and jobs did, and of what was given to whom."""

from django.contrib import admin
from django.utils.translation import gettext_lazy as _

from consent.admin.base import Owned, UncountedPaginator, ViewOnly, at
from consent.ledger.models import AuditEntry, Disclosure
from consent.officers.models import AccountEntry


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


@admin.register(AccountEntry)
class AccountLog(ViewOnly):
    """Newest first, of every account: it is of no mini-program."""

    icon, rank = "manage_history", 93
    paginator = UncountedPaginator
    list_display = [at("at", _("at")), "actor", "action", "account"]
    list_filter = [("at", admin.DateFieldListFilter)]
    ordering = ["-id"]
    fieldsets = [(None, {"fields": [("at", "actor"), ("action", "account"), "details"]})]
