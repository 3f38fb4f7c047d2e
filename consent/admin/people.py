"""Staff accounts, the roles they have, and the mini-programs they are assigned to. Who may change an account cannot make it,
or any other, a superuser's, and changes neither a superuser's account nor their own."""

from collections.abc import Callable
from datetime import datetime
from functools import partial
from typing import TYPE_CHECKING, Any

from django import forms
from django.contrib import admin, messages
from django.contrib.admin.utils import unquote
from django.contrib.auth.admin import GroupAdmin, UserAdmin
from django.contrib.auth.models import Group, User
from django.core.exceptions import PermissionDenied, ValidationError
from django.db import transaction
from django.db.models import QuerySet
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseBase
from django.shortcuts import redirect
from django.template.response import TemplateResponse
from django.urls import URLPattern, path, reverse
from django.utils.decorators import method_decorator
from django.utils.formats import date_format
from django.utils.html import format_html
from django.utils.timezone import localtime
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _
from unfold.forms import AdminPasswordChangeForm, UserChangeForm, UserCreationForm
from unfold.widgets import UnfoldAdminCheckboxSelectMultipleWidget, UnfoldAdminSplitDateTimeWidget

from consent.admin.base import Officers, officer, own_page
from consent.journal.writing import JournalAway
from consent.ledger.audit import audit
from consent.officers import access, accounts, second_factor
from consent.officers.roles import BY_GROUP
from consent.programs.models import OfficerAssignment
from consent.programs.tenancy import tenant

if TYPE_CHECKING:
    AccountAdmin = UserAdmin[User]
else:
    AccountAdmin = UserAdmin

admin.site.unregister(User)
admin.site.unregister(Group)


def _is_superuser(request: HttpRequest) -> bool:
    return bool(request.user.is_active and getattr(request.user, "is_superuser", False))


# Unfold keeps a label on one line; what a role may do takes more.
_LABEL = '<span style="white-space: normal"><b>{}</b> – {}</span>'


class RolesField(forms.ModelMultipleChoiceField):  # type: ignore[type-arg]  # Django's class takes no parameter when it runs
    """Groups, each as the role it is, with what that may do."""

    widget = UnfoldAdminCheckboxSelectMultipleWidget

    def label_from_instance(self, obj: Any) -> str:
        role = BY_GROUP.get(obj.name)
        return obj.name if role is None else format_html(_LABEL, role.title, role.description)


class SeenField(forms.CharField):
    """A fingerprint of what the form has shown. Where the form is shown again, of what there is by then."""

    def __init__(self) -> None:
        super().__init__(required=False, widget=forms.HiddenInput)

    def bound_data(self, data: Any, initial: Any) -> Any:
        return initial


class AccountForm(UserChangeForm):  # type: ignore[misc]  # unfold carries no types
    """An account with its roles and its end. What another changed since the form was shown is not undone by it."""

    groups = RolesField(queryset=Group.objects.order_by("pk"), required=False, label=_("Roles"))
    expires_at = forms.SplitDateTimeField(
        required=False,
        label=_("Ends"),
        widget=UnfoldAdminSplitDateTimeWidget,
        help_text=_("From then on the account signs in nowhere and its sessions are refused. Empty: it does not end."),
    )
    seen = SeenField()

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        # A POST has the account's row locked by now (access.journaled).
        self.held = access.of(self.instance)
        self.initial |= {"expires_at": self.held.ends, "seen": self.held.fingerprint}

    def clean(self) -> dict[str, Any]:
        given: dict[str, Any] = super().clean() or {}
        if given["seen"] != self.held.fingerprint:
            self.add_error(None, ValidationError(_CHANGED, params=self._as_it_is()))
        if "groups" not in given:
            return given
        roles = [BY_GROUP[group.name] for group in given["groups"] if group.name in BY_GROUP]
        for role in roles:
            if role.alone and len(given["groups"]) > 1:
                self.add_error("groups", ValidationError(_ALONE, params={"role": role.title}))
            if role.ends and not given.get("expires_at"):
                self.add_error("expires_at", ValidationError(_ENDS, params={"role": role.title}))
        return given

    def _as_it_is(self) -> dict[str, str]:
        return {
            "active": gettext("yes") if self.instance.is_active else gettext("no"),
            "roles": _titles(self.instance),
            "ends": _told(self.held.ends),
        }


_ALONE = _("The role %(role)s goes with no other.")
_ENDS = _("An account with the role %(role)s ends on a day: say which.")
_CHANGED = _(
    "This account was changed meanwhile, and nothing is saved. It is now: active: %(active)s; roles: %(roles)s; ends: %(ends)s. What you"
    " entered stands below: correct it, and save it again."
)
NEW = (None, {"classes": ("wide",), "fields": ("username", "usable_password", "password1", "password2")})


@admin.register(User)
class Users(AccountAdmin, Officers):
    """Staff accounts. None is deleted, because the audit log names them by number: take `active` away instead."""

    icon, rank = "person", 10
    form = AccountForm
    add_form = UserCreationForm
    change_password_form = AdminPasswordChangeForm
    list_display = ["username", "shown_roles", "expires_at", "is_superuser", "is_active", "last_login"]
    list_filter = ["is_superuser", "is_active"]
    filter_horizontal = ("user_permissions",)
    fieldsets = [
        (None, {"fields": ("username", "password")}),
        (_("Person"), {"fields": ("first_name", "last_name", "email")}),
        (_("What it may do"), {"fields": ("is_active", "groups", "expires_at")}),
        (_("Dates"), {"fields": ("last_login", "date_joined")}),
    ]
    readonly_fields = ["last_login", "date_joined"]
    add_fieldsets = [NEW]
    change_form_outer_before_template = "consent/admin/second_factor_state.html"
    change_form_before_template = "consent/admin/seen.html"

    def get_fieldsets(self, request: HttpRequest, obj: Any = None) -> Any:
        """Permissions beside roles are a superuser's to give."""
        shown = super().get_fieldsets(request, obj)
        if obj is None or not _is_superuser(request):
            return shown
        return [*shown, (_("Beside roles"), {"fields": ("is_staff", "is_superuser", "user_permissions")})]

    def get_queryset(self, request: HttpRequest) -> QuerySet[User]:
        return super().get_queryset(request).select_related("staff").prefetch_related("groups")

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        if not super().has_change_permission(request, obj):
            return False
        return obj is None or _is_superuser(request) or not (obj.is_superuser or obj.pk == request.user.pk)

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def change_view(
        self, request: HttpRequest, object_id: str, form_url: str = "", extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        user = self.get_object(request, object_id)
        own = user is not None and user.pk == request.user.pk
        shown = {
            "enrolled": user is not None and second_factor.mark(accounts.of(user)) is not None,
            "may_reset": user is not None and not own and self.has_change_permission(request, user),
        }
        return super().change_view(request, object_id, form_url, (extra_context or {}) | shown)

    def changeform_view(
        self,
        request: HttpRequest,
        object_id: str | None = None,
        form_url: str = "",
        extra_context: dict[str, Any] | None = None,
    ) -> Any:
        """The journal has what an account loses, so that no restore gives it back."""
        shown = partial(super().changeform_view, request, object_id, form_url, extra_context)
        user = self.get_object(request, unquote(object_id)) if object_id and request.method == "POST" else None
        return shown() if user is None else _journaled(request, user.pk, shown, back=request.path)

    @method_decorator(transaction.atomic)
    def user_change_password(self, request: HttpRequest, id: str, form_url: str = "") -> HttpResponse:
        """With what `log_change` notes: a password that another set is never there without its being due."""
        return super().user_change_password(request, id, form_url)

    @admin.display(description=_("roles"))
    def shown_roles(self, user: User) -> str:
        return _titles(user)

    @admin.display(description=_("ends"))
    def expires_at(self, user: User) -> str:
        return _told(user.staff.expires_at if hasattr(user, "staff") else None)

    def get_urls(self) -> list[URLPattern]:
        own = path("<int:object_id>/second-factor/", own_page(self, self.reset_view), name="auth_user_second_factor")
        return [own, *super().get_urls()]

    def reset_view(self, request: HttpRequest, object_id: int) -> HttpResponseBase:
        """The page is the question; a POST takes the account's second factor away. Nobody does so with their own."""
        user: User | None = self.get_object(request, str(object_id))
        if not self.has_change_permission(request, user) or object_id == request.user.pk:
            raise PermissionDenied
        if user is None:
            raise Http404
        if request.method == "POST":
            second_factor.reset(user.pk, by=officer(request))
            messages.success(request, gettext("The second factor is reset."))
            return redirect(reverse("admin:auth_user_change", args=[user.pk]))
        context = {
            **self.admin_site.each_context(request),
            "title": gettext("Reset the second factor"),
            "opts": self.opts,
            "original": user,
        }
        return TemplateResponse(request, "consent/admin/second_factor_reset.html", context)

    def save_model(self, request: HttpRequest, obj: User, form: Any, change: Any) -> None:
        if not change:
            obj.is_staff = True
        super().save_model(request, obj, form, change)
        if "expires_at" in form.changed_data:
            accounts.set_end(obj.pk, form.cleaned_data["expires_at"])
        if not change:
            accounts.password_set(obj.pk)

    def log_addition(self, request: HttpRequest, object: Any, message: Any) -> Any:
        _record(request, object, "account.made")
        return super().log_addition(request, object, message)

    def log_change(self, request: HttpRequest, object: Any, message: Any) -> Any:
        """A new password comes by here too."""
        if "password" in _fields(message) and object.pk != request.user.pk:
            accounts.password_set(object.pk)
        _record(request, object, "account.changed", message)
        return super().log_change(request, object, message)


def _journaled(
    request: HttpRequest, user_id: int, change: Callable[[], HttpResponseBase], *, back: str
) -> HttpResponseBase:
    """A view that may take something from an account, and does not where the journal cannot be written: that is told on the page
    `back`."""
    try:
        with access.journaled(user_id):
            return change()
    except JournalAway:
        return _away(request, back)


def _away(request: HttpRequest, back: str) -> HttpResponseBase:
    list(messages.get_messages(request))  # what was said of a change that is not there
    told = gettext("The journal cannot be written, and nothing is changed without it. Try again in a moment.")
    messages.error(request, told)
    return redirect(back)


def _record(request: HttpRequest, user: User, action: str, message: Any = ()) -> None:
    """Which fields of the account changed, and the roles it has now; no value of a field."""
    fields = _fields(message)
    roles = sorted(user.groups.values_list("name", flat=True))
    details = {"fields": fields, "roles": roles, "superuser": user.is_superuser, "active": user.is_active}
    accounts.record(actor=officer(request), action=action, account=accounts.named(user.pk), details=details)


def _fields(message: Any) -> list[str]:
    return sorted(name for part in message for name in part.get("changed", {}).get("fields", []))


def _titled(group: Group) -> str:
    role = BY_GROUP.get(group.name)
    return group.name if role is None else str(role.title)


def _titles(user: User) -> str:
    return gettext(", ").join(_titled(group) for group in user.groups.all()) or "–"


def _told(end: datetime | None) -> str:
    return "–" if end is None else date_format(localtime(end), "Y-m-d H:i")


@admin.register(Group)
class Groups(GroupAdmin, Officers):
    """The roles, which nobody changes, and what groups a superuser makes beside them."""

    icon, rank = "group", 20
    list_display = ["shown_title", "shown_description", "accounts"]
    search_fields = ()
    ordering = ["pk"]
    readonly_fields = ["shown_title", "shown_description"]

    def get_fieldsets(self, request: HttpRequest, obj: Any = None) -> Any:
        role = obj is not None and obj.name in BY_GROUP
        return [
            (None, {"fields": ["shown_title", "shown_description", "permissions"] if role else ["name", "permissions"]})
        ]

    def has_add_permission(self, request: HttpRequest) -> bool:
        return _is_superuser(request)

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return _is_superuser(request) and (obj is None or obj.name not in BY_GROUP)

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return self.has_change_permission(request, obj)

    def get_actions(self, request: HttpRequest) -> Any:
        """Nothing is done to several at once: roles are among them."""
        return {}

    @admin.display(description=_("role"))
    def shown_title(self, group: Group) -> str:
        return _titled(group)

    @admin.display(description=_("what it may do"))
    def shown_description(self, group: Group) -> str:
        role = BY_GROUP.get(group.name)
        return "–" if role is None else str(role.description)

    @admin.display(description=_("accounts"))
    def accounts(self, group: Group) -> int:
        return group.user_set.filter(is_active=True).count()


@admin.register(OfficerAssignment)
class OfficerAssignments(Officers):
    """Made and taken away, never changed; both stand in the audit log of the mini-program. None but a superuser assigns
    themselves."""

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
            others = User.objects.filter(is_staff=True, is_active=True).order_by("username")
            kwargs["queryset"] = (
                others if _is_superuser(request) else others.exclude(username=request.user.get_username())
            )
        return super().formfield_for_foreignkey(db_field, request, **kwargs)

    def save_model(self, request: HttpRequest, obj: OfficerAssignment, form: Any, change: Any) -> None:
        with access.journaled(obj.user_id):
            super().save_model(request, obj, form, change)
        _audit(request, obj, "officer.assigned")

    def add_view(self, request: HttpRequest, form_url: str = "", extra_context: dict[str, Any] | None = None) -> Any:
        try:
            return super().add_view(request, form_url, extra_context)
        except JournalAway:
            return _away(request, reverse("admin:consent_officerassignment_changelist"))

    def delete_view(self, request: HttpRequest, object_id: str, extra_context: dict[str, Any] | None = None) -> Any:
        shown = partial(super().delete_view, request, object_id, extra_context)
        assignment = self.get_object(request, unquote(object_id)) if request.method == "POST" else None
        if assignment is None:
            return shown()
        listed = reverse("admin:consent_officerassignment_changelist")
        return _journaled(request, assignment.user_id, shown, back=listed)

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
