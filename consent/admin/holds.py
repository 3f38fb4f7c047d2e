"""Legal holds: what a law obliges to keep although its person asked to be erased. Made and lifted here, never changed."""

from typing import Any

from django import forms
from django.contrib import admin, messages
from django.db import transaction
from django.http import HttpRequest
from django.utils.text import capfirst
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _
from unfold.widgets import UnfoldAdminSelectWidget, UnfoldAdminTextInputWidget, UnfoldBooleanWidget

from consent.admin.base import Owned, at, officer, picked
from consent.errors import Conflict, Problem
from consent.rights import legal_holds
from consent.rights.holders import UnknownHolder, holdable, holder_of
from consent.rights.models import HoldGround, LegalHold


def _named_holders() -> list[tuple[str, Any]]:
    return [("", _("Select value")), *((holder.identifier, holder.title) for holder in holdable())]


class HoldForm(forms.ModelForm):  # type: ignore[type-arg]  # Django's class takes no parameter when it runs
    """A new hold; saving it is checked by the domain, whose faults are told here."""

    holder = forms.ChoiceField(label=capfirst(_("holder")), choices=_named_holders, widget=UnfoldAdminSelectWidget)
    request = forms.UUIDField(
        label=_("Number of a request"),
        required=False,
        widget=UnfoldAdminTextInputWidget,
        help_text=_("The hold is about the person of this request. Without one it is about everybody."),
    )

    class Meta:
        model = LegalHold
        fields = ("holder", "ground", "law", "until")
        help_texts = {"law": _("People read it when they ask what became of their erasure. It names no person.")}

    def __init__(self, *args: Any, program_id: int, by: str, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._program_id, self._by = program_id, by

    def clean(self) -> dict[str, Any]:
        given = super().clean() or {}
        if not self.errors:
            try:
                with transaction.atomic():  # what is refused leaves the page's own transaction whole
                    self.instance = legal_holds.hold(
                        program_id=self._program_id,
                        holder=given["holder"],
                        ground=HoldGround(given["ground"]),
                        law=given["law"],
                        until=given["until"],
                        request_id=given["request"],
                        by=self._by,
                    )
            except Problem as problem:
                raise forms.ValidationError(_FAULTS.get(problem.code, _FAULT)) from None
        return given

    def _post_clean(self) -> None:
        """The instance is made by the domain."""


_FAULT = _("It could not be done; nothing was changed.")
_FAULTS = {
    "until_past": _("The last day of a hold is today or later."),
    "not_found": _("This mini-program has no request with this number."),
    "nobody_known": _("Nothing is held about the person of this request."),
}


class LiftForm(forms.ModelForm):  # type: ignore[type-arg]  # as above
    """A hold ends before its day."""

    lift = forms.BooleanField(
        label=_("Lift the hold"),
        widget=UnfoldBooleanWidget,
        help_text=_("What is kept under it alone is erased within the hour, for whoever asked for that."),
    )

    class Meta:
        model = LegalHold
        fields = ()


@admin.register(LegalHold)
class LegalHolds(Owned):
    """The latest first."""

    icon, rank = "gavel", 16
    list_display = ["law", "named", "ground", "until", "everybody", at("lifted_at", _("lifted at"))]
    ordering = ["-id"]
    readonly_fields = [
        "law",
        "named",
        "ground",
        "until",
        "everybody",
        "created_by",
        "created_at",
        "lifted_at",
        "lifted_by",
    ]

    @admin.display(description=_("holder"))
    def named(self, hold: LegalHold) -> str:
        try:
            return str(holder_of(hold.holder).title)
        except UnknownHolder:
            return hold.holder

    def has_add_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return request.user.has_perm("consent.add_legalhold")

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        may = request.user.has_perm("consent.change_legalhold")
        return may and (obj is None or obj.lifted_at is None)

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> Any:
        return () if obj is None else self.readonly_fields

    def get_fieldsets(self, request: HttpRequest, obj: Any = None) -> Any:
        if obj is None:
            return [(None, {"fields": ["holder", "request", "ground", "law", "until"]})]
        lift = ["lift"] if self.has_change_permission(request, obj) else []
        return [(None, {"fields": [*self.readonly_fields, *lift]})]

    def get_form(self, request: HttpRequest, obj: Any = None, change: bool = False, **kwargs: Any) -> Any:
        if obj is not None:
            return super().get_form(request, obj, change, **{**kwargs, "form": LiftForm, "fields": ()})
        made = super().get_form(request, obj, change, **{**kwargs, "form": HoldForm, "fields": HoldForm.Meta.fields})
        program = picked(request)
        assert program is not None  # OfficersProgram asks for one before it shows an owned page
        bound = {"program_id": program.pk, "by": officer(request)}

        class Bound(made):  # type: ignore[misc,valid-type]  # Django makes the class it extends
            def __init__(self, *args: Any, **more: Any) -> None:
                super().__init__(*args, **more, **bound)

        return Bound

    def save_model(self, request: HttpRequest, obj: LegalHold, form: Any, change: Any) -> None:
        """A new one is made already; an old one is lifted."""
        if change:
            try:
                legal_holds.lift(program_id=obj.program_id, hold_id=obj.pk, by=officer(request))
            except Conflict:
                messages.warning(request, gettext("The hold was lifted before; nothing was changed."))
