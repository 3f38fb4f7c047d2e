"""The form that saves a report's question, and the question it comes to."""

from collections.abc import Mapping
from datetime import date
from typing import Any

from django import forms
from django.utils.timezone import localdate
from django.utils.translation import gettext_lazy as _
from unfold.widgets import UnfoldAdminSelectWidget, UnfoldAdminTextInputWidget

from consent.errors import Invalid
from reports.admin import options, words
from reports.api.questions import RANGE, RANGES, dates
from reports.models import LONGEST_NAME, SavedReport
from reports.saved import refuse_name

FIXED = ""


class Name(forms.CharField):
    """A saved report's name."""

    def __init__(self, **more: Any) -> None:
        super().__init__(
            label=_("Name"),
            max_length=LONGEST_NAME,
            widget=UnfoldAdminTextInputWidget(attrs={"autocomplete": "off"}),
            **more,
        )

    def clean(self, value: Any) -> str:
        name = str(super().clean(value))
        try:
            refuse_name(name)
        except Invalid as error:
            raise forms.ValidationError(words.fault(error.code)) from None
        return name


class SaveForm(forms.Form):
    """The name, and of which days it is to be asked each time it is asked."""

    name = Name()
    days = forms.ChoiceField(label=_("Days"), required=False, widget=UnfoldAdminSelectWidget)

    def __init__(self, *sent: Any, **more: Any) -> None:
        super().__init__(*sent, **more)
        days = self.fields["days"]
        assert isinstance(days, forms.ChoiceField)
        days.choices = [(FIXED, _("these dates, each time")), *((name, words.value(name)) for name in RANGES)]


class RenameForm(forms.ModelForm):  # type: ignore[type-arg]
    """A saved report's name is all that is changed of it."""

    name = Name()

    class Meta:
        model = SavedReport
        fields = ("name",)

    def clean_name(self) -> str:
        name: str = self.cleaned_data["name"]
        others = SavedReport.objects.filter(program_id=self.instance.program_id, name=name).exclude(pk=self.instance.pk)
        if others.exists():
            raise forms.ValidationError(words.fault("name_taken"))
        return name


def days_asked(asked: Mapping[str, Any]) -> str:
    """Which of the relative ranges the dates of a form are today, if any."""
    today = localdate()
    return next((name for name in RANGES if dates(name, today) == (asked["from"], asked["to"])), FIXED)


def question(metric: str, asked: Mapping[str, Any], days: str) -> dict[str, Any]:
    """What is kept of a report's filled form."""
    body = options.body(metric, asked)
    if days == FIXED:
        return body
    return {RANGE: days} | {name: value for name, value in body.items() if name not in ("from", "to")}


def days_in_words(question: Mapping[str, Any], *, first: date | None = None, last: date | None = None) -> str:
    """Of which days a kept question is, with what these are now where that is known."""
    name = question.get(RANGE)
    if name is None:
        return f"{question.get('from')} – {question.get('to')}"
    return words.value(str(name)) if first is None else f"{words.value(str(name))} ({first} – {last})"
