"""A report's form, out of what REST takes: the fields of its body, of which a page offers some."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import date
from typing import Any

import msgspec
from django import forms
from django.http import QueryDict
from django.utils.translation import gettext_lazy as _
from msgspec import inspect
from unfold.widgets import UnfoldAdminIntegerFieldWidget, UnfoldAdminSelectWidget, UnfoldAdminTextInputWidget

from consent.errors import Fault, Invalid
from reports.admin import words
from reports.api.shapes import ASKED, WINDOWS_S, ReportAsked
from reports.metrics.trends import PROPERTY
from tracking.models import EventType

EVENTS = {"event", "cohort_event", "return_event", "goal", "exposure", "start_event", "end_event", "per"}
"""Options that name an event of the catalogue."""
WINDOWS = {"window_s", "bound_s"}
MORE_SELECTS = 2
"""Empty places after those that are filled, so that a list grows without a script."""

Choices = list[tuple[str, Any]]


class _Day(UnfoldAdminTextInputWidget):  # type: ignore[misc]  # unfold carries no types
    input_type = "date"

    def format_value(self, value: Any) -> str | None:
        return value.isoformat() if isinstance(value, date) else super().format_value(value)


class Selects(forms.Widget):
    """Several values in an order: a select for each, all of one name."""

    template_name = "reports/admin/selects.html"

    def __init__(self, choices: Choices, least: int, most: int) -> None:
        super().__init__()
        self.choices, self.least, self.most = choices, least, most

    def value_from_datadict(self, data: Any, files: Any, name: str) -> list[str]:
        found = data.getlist(name) if isinstance(data, QueryDict) else data.get(name, [])
        return [value for value in found if value]

    def get_context(self, name: str, value: Any, attrs: Any) -> dict[str, Any]:
        context = super().get_context(name, value, attrs)
        filled = list(value or [])
        places = min(self.most, max(self.least, len(filled)) + MORE_SELECTS)
        chosen = filled + [""] * (places - len(filled))
        first = context["widget"]["attrs"].get("id", "")
        context["selects"] = [
            UnfoldAdminSelectWidget(choices=self.choices).render(
                name, one, {"id": first if not n else f"{first}_{n}", "aria-label": f"{n + 1}"}
            )
            for n, one in enumerate(chosen)
        ]
        return context


class SeveralField(forms.Field):
    """Values of a list, in order; at least and at most so many."""

    def __init__(self, choices: Choices, least: int, most: int, **more: Any) -> None:
        super().__init__(widget=Selects([("", "–"), *choices], least, most), required=least > 0, **more)
        self.known, self.least, self.most = {name for name, _title in choices}, least, most

    def clean(self, value: Any) -> list[str]:
        chosen = list(value or [])
        if not self.least <= len(chosen) <= self.most:
            raise forms.ValidationError(
                _("Choose %(least)d to %(most)d."), params={"least": self.least, "most": self.most}
            )
        if not set(chosen) <= self.known:
            raise forms.ValidationError(_("Take an event of the catalogue."))
        return chosen


def form_for(metric: str, offered: Iterable[str], breakdowns: Sequence[str], program_id: int) -> type[forms.Form]:
    """The form of a report of a mini-program: its range, and those of REST's fields that are offered."""
    types = list(EventType.objects.filter(program_id=program_id).order_by("name"))
    asked = {field.encode_name: field for field in _fields(metric)}
    make = _Made(types, breakdowns).field
    return type("ReportForm", (forms.Form,), {name: make(asked[name]) for name in ("from", "to", *offered)})


def needed(metric: str) -> list[str]:
    """What a report cannot be asked without, beside its range."""
    return [
        field.encode_name for field in _fields(metric) if field.required and field.encode_name not in ("from", "to")
    ]


def fields(metric: str) -> set[str]:
    """All that REST takes."""
    return {field.encode_name for field in _fields(metric)}


def defaults(metric: str, offered: Iterable[str]) -> dict[str, Any]:
    """What REST takes of those left out."""
    found = {field.encode_name: field for field in _fields(metric)}
    return {name: value for name in offered if (value := _default(found[name])) is not None}


def body(metric: str, cleaned: Mapping[str, Any]) -> dict[str, Any]:
    """What the form asks, as JSON of REST's."""
    lists = _lists(metric)
    sent = {
        name: [{"event": one} for one in value] if name in lists else value
        for name, value in cleaned.items()
        if value not in ("", None)
    }
    found: dict[str, Any] = msgspec.to_builtins(sent)
    return found


def asked(metric: str, cleaned: Mapping[str, Any]) -> ReportAsked:
    """The same as REST's shape."""
    return msgspec.convert(body(metric, cleaned), ASKED[metric])


def sent(metric: str, asked: Mapping[str, Any]) -> QueryDict:
    """REST's body, of whatever version, as the form sends it; what a form has no place for is no part of it."""
    lists, found = _lists(metric), QueryDict(mutable=True)
    for name, value in asked.items():
        if name in lists and isinstance(value, list):
            found.setlist(name, [str(one["event"]) for one in value if isinstance(one, Mapping) and "event" in one])
        elif isinstance(value, str | int):
            found[name] = str(value)
    return found


def _lists(metric: str) -> set[str]:
    """Lists of events."""
    return {field.encode_name for field in _fields(metric) if _kind(field, inspect.ListType)} - {"filters", "brackets"}


def tell(form: forms.Form, error: Invalid) -> None:
    """A refusal of the report, beside the fields it is about."""
    for one in error.errors or [Fault(error.code, error.detail)]:
        name = one.pointer.removeprefix("/").partition("/")[0]
        form.add_error(name if name in form.fields else None, words.fault(one.code))


def _fields(metric: str) -> Sequence[inspect.Field]:
    found = inspect.type_info(ASKED[metric])
    assert isinstance(found, inspect.StructType)
    return found.fields


def _kind(field: inspect.Field, kind: type[Any]) -> Any:
    """The field's type where it is of that kind, an option of it being null left aside."""
    types = field.type.types if isinstance(field.type, inspect.UnionType) else (field.type,)
    return next((one for one in types if isinstance(one, kind)), None)


def _default(field: inspect.Field) -> Any:
    if field.default is msgspec.NODEFAULT:
        return None if field.default_factory is msgspec.NODEFAULT else field.default_factory()
    return field.default


class _Made:
    """Form fields of REST's fields, by the names that mean something here and by their types otherwise."""

    def __init__(self, types: Sequence[EventType], breakdowns: Sequence[str]) -> None:
        self.events: Choices = [(one.name, one.name) for one in types]
        declared = [(name, said) for one in types for name, said in one.properties.items()]
        self.numeric = sorted({name for name, said in declared if said.get("type") in ("integer", "number")})
        self.few = sorted({name for name, said in declared if said.get("type") == "boolean" or said.get("enum")})
        self.breakdowns = breakdowns

    def field(self, field: inspect.Field) -> forms.Field:
        name = field.encode_name
        more = {"label": words.option(name), "required": field.required}
        if name in EVENTS:
            return self._choice(self.events, more, _("any event") if not field.required else None)
        if name == "breakdown":
            return self._choice(self._breakdowns(), more, _("none"))
        if name == "property":
            return self._choice([(one, one) for one in self.numeric], more, _("none"))
        for kind, make in self._kinds():
            if found := _kind(field, kind):
                made: forms.Field = make(name, found, field, more)
                return made
        raise TypeError(f"say in {__name__} how a form asks for {name}")

    def _kinds(self) -> list[tuple[type[Any], Callable[..., forms.Field]]]:
        return [
            (inspect.DateType, lambda name, kind, field, more: forms.DateField(
                widget=_Day, input_formats=["%Y-%m-%d"], **more)),
            (inspect.LiteralType, self._literal),
            (inspect.IntType, self._whole),
            (inspect.ListType, self._list),
            (inspect.StrType, lambda name, kind, field, more: forms.CharField(
                max_length=kind.max_length, widget=UnfoldAdminTextInputWidget, **more)),
        ]  # fmt: skip

    def _literal(self, name: str, kind: Any, field: inspect.Field, more: Any) -> forms.Field:
        empty = _("none") if _default(field) is None and name != "interval" else None
        return self._choice([(one, words.value(one)) for one in kind.values], more, empty)

    def _whole(self, name: str, kind: Any, field: inspect.Field, more: Any) -> forms.Field:
        if name in WINDOWS:
            choices = [(one, words.seconds(one)) for one in WINDOWS_S]
            return forms.TypedChoiceField(coerce=int, choices=choices, widget=UnfoldAdminSelectWidget, **more)
        return forms.IntegerField(min_value=kind.ge, max_value=kind.le, widget=UnfoldAdminIntegerFieldWidget, **more)

    def _list(self, name: str, kind: Any, field: inspect.Field, more: Any) -> forms.Field:
        return SeveralField(self.events, kind.min_length or 0, kind.max_length, label=more["label"])

    def _choice(self, choices: Choices, more: Mapping[str, Any], empty: Any) -> forms.Field:
        offered = choices if empty is None else [("", empty), *choices]
        return forms.ChoiceField(choices=offered, widget=UnfoldAdminSelectWidget, **more)

    def _breakdowns(self) -> Choices:
        """Fields of every event, and `properties.NAME` where the catalogue has a boolean or an enum of that name."""
        of_properties = [(f"{PROPERTY}{name}", name) for name in self.few if PROPERTY in self.breakdowns]
        return [(name, words.value(name)) for name in self.breakdowns if name != PROPERTY] + of_properties
