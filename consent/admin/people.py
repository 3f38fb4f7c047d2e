"""Officers, what they may see, and which mini-programs they are assigned to. Superusers only: whoever could change an
account could make it a superuser's."""

from typing import TYPE_CHECKING, Any

from django.contrib import admin
from django.contrib.auth.admin import GroupAdmin, UserAdmin
from django.contrib.auth.models import Group, User
from django.http import HttpRequest
from django.utils.translation import gettext_lazy as _
from unfold.forms import AdminPasswordChangeForm, UserChangeForm, UserCreationForm

from consent.admin.base import SuperusersOnly, officer
from consent.ledger.audit import audit
from consent.programs.models import OfficerAssignment
from consent.programs.tenancy import tenant

if TYPE_CHECKING:
    AccountAdmin = UserAdmin[User]
else:
    AccountAdmin = UserAdmin

admin.site.unregister(User)
admin.site.unregister(Group)


@admin.register(User)
class Users(AccountAdmin, SuperusersOnly):
    """Staff accounts. None is deleted, because the audit log names them by number: take `active` away instead."""

    icon, rank = "person", 10
    form = UserChangeForm
    add_form = UserCreationForm
    change_password_form = AdminPasswordChangeForm
    list_display = ["username", "is_staff", "is_superuser", "is_active", "last_login"]
    list_filter = ["is_staff", "is_superuser", "is_active"]

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False


@admin.register(Group)
class Groups(GroupAdmin, SuperusersOnly):
    icon, rank = "group", 20


@admin.register(OfficerAssignment)
class OfficerAssignments(SuperusersOnly):
    """Made and taken away, never changed; both stand in the audit log of the mini-program."""

    icon, rank = "badge", 92
    list_display = ["user", "program", "controller"]
    list_select_related = ["user", "program__controller"]
    ordering = ["user__username", "program__name"]
    fields = ["user", "program"]
    actions = None

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    @admin.display(description=_("controller"))
    def controller(self, assignment: OfficerAssignment) -> str:
        return assignment.program.controller.name

    def formfield_for_foreignkey(self, db_field: Any, request: HttpRequest, **kwargs: Any) -> Any:
        if db_field.name == "user":
            kwargs["queryset"] = User.objects.filter(is_staff=True, is_active=True).order_by("username")
        return super().formfield_for_foreignkey(db_field, request, **kwargs)

    def save_model(self, request: HttpRequest, obj: OfficerAssignment, form: Any, change: Any) -> None:
        super().save_model(request, obj, form, change)
        _audit(request, obj, "officer.assigned")

    def delete_model(self, request: HttpRequest, obj: OfficerAssignment) -> None:
        _audit(request, obj, "officer.unassigned")
        super().delete_model(request, obj)


def _audit(request: HttpRequest, assignment: OfficerAssignment, action: str) -> None:
    """In the transaction of the admin's view, under the mini-program it is about."""
    with tenant(assignment.program_id):
        audit(
            program_id=assignment.program_id,
            actor=officer(request),
            action=action,
            target=f"officer:{assignment.user_id}",
        )
