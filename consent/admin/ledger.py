"""The record of what officers and jobs did, and of what was given to whom."""

import json
from collections.abc import Iterator
from typing import Any

from django.contrib import admin
from django.http import HttpRequest
from django.urls import reverse
from django.utils.formats import date_format
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.timezone import localtime
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from consent import edge
from consent.admin.base import Owned, UncountedPaginator, at, officer, picked
from consent.admin.figures import MOST, Figure, Section, waiting
from consent.admin.log import JOBS, Log
from consent.ledger import log, proofs
from consent.ledger.audit import audit, canonical
from consent.ledger.models import AuditEntry, Disclosure
from consent.ledger.tasks import in_order
from consent.officers import accounts
from consent.officers.models import AccountEntry
from consent.programs.models import MiniProgram, OfficerAssignment


class Proved(Log):
    """A log whose entries have leaves: each one's page shows its proof."""

    readonly_fields = ["shown_action", "shown_proof"]

    def committed(self, entry: Any) -> dict[str, Any]:
        """What the entry's leaf commits to."""
        raise NotImplementedError

    def get_fieldsets(self, request: HttpRequest, obj: Any = None) -> Any:
        shown = [("at", "actor"), ("shown_action", self.about), "details"]
        return [(None, {"fields": shown}), (_("In the log"), {"fields": ["shown_proof"]})]

    @admin.display(description=_("proof"))
    def shown_proof(self, entry: Any) -> SafeString | str:
        """What opens the leaf, RFC 9162's proof that it is in the log, and the checkpoint that it holds by."""
        if entry.leaf_id is None:
            return gettext("None: the entry is from before entries had leaves.")
        found = proofs.of_leaf(entry.leaf_id, published=edge.ledger_published())
        if found is None:
            return gettext("None yet: look again in a minute.")
        opening = {"salt": proofs.text(bytes(entry.salt or b"")), "entry": self.committed(entry)}
        told = {"opening": opening, "inclusion": found.told(), "checkpoint": found.checkpoint}
        return format_html('<pre class="proof">{}</pre>', json.dumps(told, ensure_ascii=False, indent=1))


@admin.register(AuditEntry)
class AuditLog(Proved, Owned):
    """Newest first."""

    icon, rank = "history", 70

    def committed(self, entry: AuditEntry) -> dict[str, Any]:
        return canonical(entry)

    def figures(self, request: HttpRequest, program: MiniProgram) -> Iterator[Figure]:
        if not self.has_view_permission(request):
            return
        origin = log.current()
        newest = log.newest(origin.number) if origin else None
        minute = "–" if newest is None else date_format(localtime(newest.at), "Y-m-d H:i")
        href = reverse("admin_ledger")
        yield Figure(Section.LEDGER, gettext("Newest checkpoint of the log"), minute, href)
        left = log.waiting(limit=MOST, program_id=program.pk)
        yield waiting(Section.LEDGER, gettext("Records and entries that have no place in it yet"), left, href=href)
        if not in_order():
            yield Figure(Section.LEDGER, gettext("The log is not what was published of it"), "!", href, colour="danger")

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
class AccountLog(Proved):
    """Newest first, of every account: it is of no mini-program."""

    icon, rank = "manage_history", 93
    about, of_accounts = "account", True

    def committed(self, entry: AccountEntry) -> dict[str, Any]:
        return accounts.canonical(entry)

    def actors(self, request: HttpRequest) -> list[tuple[str, Any]]:
        return [(accounts.SERVICE, _("the sign-in page"))]

    def taken(self, request: HttpRequest, details: dict[str, Any]) -> int:
        return accounts.record(
            actor=officer(request), action="account_log.exported", account=accounts.NOBODY, details=details
        )
