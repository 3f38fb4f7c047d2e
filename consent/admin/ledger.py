"""The record of what officers and jobs did, and of what was given to whom."""

from typing import Any

from django.contrib import admin
from django.http import HttpRequest
from django.utils.translation import gettext_lazy as _

from consent.admin.base import Owned, UncountedPaginator, at, officer, picked
from consent.admin.log import JOBS, Log
from consent.ledger.audit import audit
from consent.ledger.models import AuditEntry, Disclosure
from consent.officers import accounts
from consent.officers.models import AccountEntry
from consent.programs.models import OfficerAssignment


@admin.register(AuditEntry)
class AuditLog(Log, Owned):
    """Newest first."""

    icon, rank = "history", 70
    fieldsets = [
        (None, {"fields": [("at", "actor"), ("shown_action", "target"), "details"]}),
    ]

    def actors(self, request: HttpRequest) -> list[tuple[str, Any]]:
        """With the officers of the mini-program."""
        assigned = OfficerAssignment.objects.filter(program=picked(request)).order_by("user__username")
        names = assigned.values_list("user_id", "user__username")
        return [*JOBS, *((accounts.named(user_id), name) for user_id, name in names)]

    def taken(self, request: HttpRequest, details: dict[str, Any]) -> int:
        program = picked(request)
        assert program is not None, "OfficersProgram asks for one first"
        return audit(
            program_id=program.pk,
            actor=officer(request),
            action="audit_log.exported",
            target=f"program:{program.pk}",
            details=details,
        )


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
class AccountLog(Log):
    """Newest first, of every account: it is of no mini-program."""

    icon, rank = "manage_history", 93
    about, of_accounts = "account", True
    fieldsets = [(None, {"fields": [("at", "actor"), ("shown_action", "account"), "details"]})]

    def actors(self, request: HttpRequest) -> list[tuple[str, Any]]:
        return [(accounts.SERVICE, _("the sign-in page"))]

    def taken(self, request: HttpRequest, details: dict[str, Any]) -> int:
        return accounts.record(
            actor=officer(request), action="account_log.exported", account=accounts.NOBODY, details=details
        )
