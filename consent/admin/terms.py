"""Processors and cross-border mechanisms. Their days are told until somebody acts: the end of one stops nothing by itself."""

from collections.abc import Iterator
from typing import Any

from django import forms
from django.contrib import admin
from django.db import transaction
from django.db.models import QuerySet
from django.http import HttpRequest
from django.urls import reverse
from django.utils.safestring import SafeString
from django.utils.text import capfirst
from django.utils.timezone import localdate
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _
from unfold.widgets import (
    UnfoldAdminCheckboxSelectMultipleWidget,
    UnfoldAdminSelectWidget,
    UnfoldAdminTextareaWidget,
    UnfoldAdminTextInputWidget,
)

from consent.admin import seen
from consent.admin.badges import badge
from consent.admin.base import Owned, officer, picked
from consent.admin.figures import Figure, Section, counted, waiting
from consent.errors import Problem
from consent.notices import assessments
from consent.notices.models import Purpose
from consent.notices.queries import categories_named, recipients_abroad
from consent.notices.words import CATEGORIES
from consent.processing import terms
from consent.processing.models import Mechanism, MechanismKind, Processor, Stage, Term
from consent.programs.models import MiniProgram

_FAULT = _("It could not be done; nothing was changed.")
_FAULTS = seen.FAULTS | {
    "until_before_from": _("The last day is the first one or a later one."),
    "missing_purpose": _("Choose at least one purpose."),
    "missing_reference": _("Give the number that it was granted or filed under."),
    "missing_ground": _("Say on what ground nothing else is needed."),
}
_DAY = {"type": "date"}


class TermForm(seen.SeenForm):
    """One row, new or changed; saving it is checked by the domain, whose faults are told here."""

    purposes = forms.MultipleChoiceField(label=capfirst(_("purposes")), widget=UnfoldAdminCheckboxSelectMultipleWidget)
    valid_from = forms.DateField(label=capfirst(_("valid from")), widget=UnfoldAdminTextInputWidget(attrs=_DAY))
    valid_until = forms.DateField(
        label=capfirst(_("last day")),
        required=False,
        widget=UnfoldAdminTextInputWidget(attrs=_DAY),
        help_text=_("Officers are told thirty days before, and on the day after. Nothing is stopped by itself."),
    )

    def __init__(self, *args: Any, program_id: int, by: str, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._program_id, self._by = program_id, by
        codes = set(Purpose.objects.filter(program_id=program_id).values_list("code", flat=True))
        self._offer("purposes", codes | set(self.instance.purposes or ()))
        if self.instance.pk is not None:
            self.initial["seen"] = terms.mark(self.instance)

    def _offer(self, name: str, codes: set[str], words: dict[str, Any] | None = None) -> None:
        self.fields[name].choices = [(code, (words or {}).get(code, code)) for code in sorted(codes)]  # type: ignore[attr-defined]

    def clean(self) -> dict[str, Any]:
        given = super().clean() or {}
        if not self.errors:
            try:
                with transaction.atomic():  # what is refused leaves the page's own transaction whole
                    self._keep({name: given[name] for name in self.Meta.fields})
            except Problem as problem:
                raise forms.ValidationError(_FAULTS.get(problem.code, _FAULT)) from None
        return given

    def _keep(self, given: dict[str, Any]) -> None:
        model = self.Meta.model
        own: dict[str, Any] = {"program_id": self._program_id, "given": given, "by": self._by}
        if self.instance.pk is None:
            self.instance = terms.add(model, **own)
        else:
            terms.change(model, term_id=self.instance.pk, seen=self.cleaned_data["seen"], **own)

    def _post_clean(self) -> None:
        """The instance is made by the domain."""

    class Meta:
        model: Any = None
        fields: tuple[str, ...] = ()


class ProcessorForm(TermForm):
    """What PIPL 21 asks to be agreed."""

    name = forms.CharField(
        label=capfirst(_("name")), max_length=terms.LONGEST["name"], widget=UnfoldAdminTextInputWidget
    )
    contact = forms.CharField(
        label=capfirst(_("contact")), max_length=terms.LONGEST["contact"], widget=UnfoldAdminTextInputWidget
    )
    categories = forms.MultipleChoiceField(
        label=capfirst(_("categories")), widget=UnfoldAdminCheckboxSelectMultipleWidget
    )
    method = forms.CharField(
        label=capfirst(_("method of processing")),
        max_length=terms.LONGEST["method"],
        widget=UnfoldAdminTextareaWidget(attrs={"rows": 2}),
    )
    measures = forms.CharField(
        label=capfirst(_("protective measures")),
        max_length=terms.LONGEST["measures"],
        widget=UnfoldAdminTextareaWidget(attrs={"rows": 3}),
    )
    contract = forms.CharField(
        label=capfirst(_("reference of the contract")),
        max_length=terms.LONGEST["contract"],
        widget=UnfoldAdminTextInputWidget,
        help_text=_("The contract says what each side has to do and may do (PIPL 21)."),
    )

    class Meta:
        model = Processor
        fields = (
            "name", "contact", "purposes", "categories", "method", "measures", "contract", "valid_from", "valid_until",
        )  # fmt: skip

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        named = categories_named(self._program_id)
        self._offer("categories", named | set(self.instance.categories or ()), CATEGORIES)


class MechanismForm(TermForm):
    """What lets information go to one recipient abroad, of those that the notices name."""

    kind = forms.ChoiceField(
        label=capfirst(_("kind")),
        choices=[("", _("Select value")), *MechanismKind.choices],
        widget=UnfoldAdminSelectWidget,
    )
    recipient = forms.ChoiceField(
        label=capfirst(_("recipient abroad")),
        widget=UnfoldAdminSelectWidget,
        help_text=_("Those abroad whom the notices name."),
    )
    reference = forms.CharField(
        label=capfirst(_("reference")),
        max_length=terms.LONGEST["reference"],
        required=False,
        widget=UnfoldAdminTextInputWidget,
    )
    ground = forms.CharField(
        label=capfirst(_("ground of the exemption")),
        max_length=terms.LONGEST["ground"],
        required=False,
        widget=UnfoldAdminTextareaWidget(attrs={"rows": 2}),
        help_text=_("For an exemption, in place of a reference."),
    )

    class Meta:
        model = Mechanism
        fields = ("kind", "recipient", "reference", "ground", "purposes", "valid_from", "valid_until")

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._offer("recipient", recipients_abroad(self._program_id) | ({self.instance.recipient} - {""}))


class StageFilter(admin.SimpleListFilter):
    """Those that have ended, or end soon."""

    title = _("standing")
    parameter_name = "standing"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, Any]]:
        return [*Stage.choices]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        value = self.value()
        return queryset.filter(terms.at_stage(Stage(value), today=localdate())) if value in Stage.values else queryset


class Terms(Owned):
    """Those that end first come first. `told`: what the first page says of those at a stage."""

    form_class: type[TermForm]
    change_form_before_template = seen.TEMPLATE
    ordering = ["valid_until", "id"]
    list_filter = [StageFilter]
    shown: tuple[Any, ...] = ()
    told: dict[Stage, Any]

    def figures(self, request: HttpRequest, program: MiniProgram) -> Iterator[Figure]:
        """What has ended stays in its list, and is no alarm: it may have been ended on purpose."""
        if not self.has_view_permission(request):
            return
        for stage, words in self.told.items():
            href = f"{reverse(f'admin:consent_{self.opts.model_name}_changelist')}?standing={stage.value}"
            found = counted(self.get_queryset(request).filter(terms.at_stage(stage, today=localdate())))
            colour = "warning" if stage == Stage.ENDING else ""
            yield waiting(Section.TERMS, str(words), found, href=href, colour=colour)

    @admin.display(description=_("purposes"))
    def shown_purposes(self, term: Term) -> str:
        return gettext(", ").join(term.purposes)

    @admin.display(description=_("standing"))
    def shown_standing(self, term: Term) -> SafeString:
        today = localdate()
        if term.valid_from > today:
            return badge(gettext("not yet valid"), "info")
        found = terms.stage(term, today=today)
        if found is None:
            return badge(gettext("valid"), "success")
        return badge(str(found.label), "danger" if found == Stage.ENDED else "warning")

    @admin.display(description=_("last day"))
    def shown_until(self, term: Term) -> str:
        return term.valid_until.isoformat() if term.valid_until else "–"

    def has_add_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return request.user.has_perm(f"consent.add_{self.opts.model_name}")

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return request.user.has_perm(f"consent.change_{self.opts.model_name}")

    def _forms(self, request: HttpRequest, obj: Any) -> bool:
        return self.has_add_permission(request) if obj is None else self.has_change_permission(request, obj)

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> Any:
        return () if self._forms(request, obj) else self.shown

    def get_fieldsets(self, request: HttpRequest, obj: Any = None) -> Any:
        return [(None, {"fields": self.form_class.Meta.fields if self._forms(request, obj) else self.shown})]

    def get_form(self, request: HttpRequest, obj: Any = None, change: bool = False, **kwargs: Any) -> Any:
        if not self._forms(request, obj):
            return super().get_form(request, obj, change, **kwargs)
        asked = {**kwargs, "form": self.form_class, "fields": self.form_class.Meta.fields}
        made = super().get_form(request, obj, change, **asked)
        program = picked(request)
        assert program is not None  # OfficersProgram asks for one before it shows an owned page
        bound = {"program_id": program.pk, "by": officer(request)}

        class Bound(made):  # type: ignore[misc,valid-type]  # Django makes the class it extends
            def __init__(self, *args: Any, **more: Any) -> None:
                super().__init__(*args, **more, **bound)

        return Bound

    def save_model(self, request: HttpRequest, obj: Any, form: Any, change: Any) -> None:
        """Made already."""


@admin.register(Processor)
class Processors(Terms):
    """Entrusted parties (PIPL 21)."""

    icon, rank = "handshake", 42
    form_class = ProcessorForm
    told = {Stage.ENDING: _("processors that end soon"), Stage.ENDED: _("processors that have ended")}
    list_display = ["name", "shown_purposes", "contract", "shown_until", "shown_standing"]
    shown = (
        "name", "contact", "shown_purposes", "shown_categories", "method", "measures", "contract", "valid_from",
        "shown_until", "shown_standing",
    )  # fmt: skip

    @admin.display(description=_("categories"))
    def shown_categories(self, processor: Processor) -> str:
        return gettext(", ").join(str(CATEGORIES.get(code, code)) for code in processor.categories)


@admin.register(Mechanism)
class Mechanisms(Terms):
    """What lets information go abroad (PIPL 38)."""

    icon, rank = "flight_takeoff", 43
    form_class = MechanismForm
    told = {
        Stage.ENDING: _("cross-border mechanisms that end soon"),
        Stage.ENDED: _("cross-border mechanisms that have ended"),
    }
    list_display = ["__str__", "recipient", "shown_purposes", "shown_until", "shown_standing"]
    shown = (
        "kind", "recipient", "reference", "ground", "shown_purposes", "valid_from", "shown_until", "shown_standing",
    )  # fmt: skip
    list_before_template = "consent/admin/abroad_unlet.html"

    def figures(self, request: HttpRequest, program: MiniProgram) -> Iterator[Figure]:
        """First what goes abroad without one, which its list tells above."""
        if self.has_view_permission(request):
            lacking = len(assessments.unlet_now(program.pk))
            href = f"{reverse('admin:consent_mechanism_changelist')}#abroad-unlet"
            words = gettext("active purposes with a recipient abroad and no valid mechanism")
            yield waiting(Section.TERMS, words, lacking, href=href, colour="danger")
        yield from super().figures(request, program)

    def changelist_view(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> Any:
        program = picked(request)
        context = {"unlet": assessments.unlet_now(program.pk) if program is not None else {}}
        return super().changelist_view(request, {**(extra_context or {}), **context})
