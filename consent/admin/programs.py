"""Mini-programs, their controllers and their callers. A key's hash is shown nowhere."""

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils.safestring import SafeString
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from consent import edge
from consent.admin.badges import badge
from consent.admin.base import Owned, OwnedInline, ViewOnly, at
from consent.admin.tenancy import programs_of
from consent.programs.models import ApiClient, ApiKey, Controller, MiniProgram

CREATED = at("created_at", _("created at"))
EXPIRES, REVOKED = at("expires_at", _("expires at")), at("revoked_at", _("revoked at"))


def _shown_to(request: HttpRequest) -> QuerySet[MiniProgram]:
    """All to whoever assigns officers to them, to others those they are assigned to."""
    if request.user.has_perm("consent.add_officerassignment"):
        return MiniProgram.objects.all()
    return programs_of(request.user)


@admin.register(Controller)
class Controllers(ViewOnly):
    """Nobody changes one here: the commands of the command line make these, and mini-programs."""

    icon, rank = "domain", 90
    list_display = ["name", CREATED]
    ordering = ["name"]
    fields = ["name", "created_at"]

    def get_queryset(self, request: HttpRequest) -> QuerySet[Controller]:
        return super().get_queryset(request).filter(pk__in=_shown_to(request).values("controller_id"))


@admin.register(MiniProgram)
class MiniPrograms(ViewOnly):
    icon, rank = "widgets", 91
    list_display = ["name", "controller", "platform", "app_id", "zone", "sandbox", CREATED]
    list_select_related = ["controller"]
    list_filter = ["platform", "sandbox"]
    ordering = ["name", "id"]
    fieldsets = [
        (
            None,
            {"fields": [("name", "controller"), ("platform", "app_id"), ("zone", "sandbox"), ("suite", "created_at")]},
        ),
    ]

    def get_queryset(self, request: HttpRequest) -> QuerySet[MiniProgram]:
        return super().get_queryset(request).filter(pk__in=_shown_to(request).values("pk"))


def validity(key: ApiKey) -> SafeString:
    """Valid, expired or revoked."""
    if key.revoked_at is not None:
        return badge(gettext("revoked"), "danger")
    return badge(gettext("expired"), "warning") if key.expires_at <= edge.now() else badge(gettext("valid"), "success")


class Keys(OwnedInline):
    """A caller's keys, newest first."""

    model = ApiKey
    ordering = ["-id"]
    fields = ["key_id", "shown_validity", "created_at", "expires_at", "revoked_at"]

    def get_queryset(self, request: HttpRequest) -> QuerySet[ApiKey]:
        return super().get_queryset(request).defer("secret_hash")

    @admin.display(description=_("validity"))
    def shown_validity(self, key: ApiKey) -> SafeString:
        return validity(key)


@admin.register(ApiClient)
class ApiClients(Owned):
    """Callers and what they may do."""

    icon, rank = "lan", 60
    list_display = ["__str__", "shown_scopes", CREATED]
    ordering = ["-id"]
    inlines = [Keys]
    fieldsets = [(None, {"fields": [("shown_scopes", "created_at")]})]
    readonly_fields = ["shown_scopes"]

    @admin.display(description=_("scopes"))
    def shown_scopes(self, client: ApiClient) -> str:
        return ", ".join(client.scopes)


@admin.register(ApiKey)
class ApiKeys(Owned):
    """Keys, those that expire first on top."""

    icon, rank = "key", 61
    list_display = ["key_id", "client", "shown_validity", CREATED, EXPIRES, REVOKED]
    ordering = ["expires_at", "id"]
    fieldsets = [
        (None, {"fields": [("key_id", "client"), ("shown_validity", "created_at"), ("expires_at", "revoked_at")]}),
    ]
    readonly_fields = ["shown_validity"]

    def get_queryset(self, request: HttpRequest) -> QuerySet[ApiKey]:
        return super().get_queryset(request).select_related("client").defer("secret_hash")

    @admin.display(description=_("validity"))
    def shown_validity(self, key: ApiKey) -> SafeString:
        return validity(key)
