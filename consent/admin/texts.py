"""Forms of free text that is kept for good, which names nobody."""

from collections.abc import Mapping
from typing import Any

from django import forms
from django.utils.text import capfirst
from django.utils.translation import gettext_lazy as _
from unfold.widgets import UnfoldAdminTextareaWidget

from consent.errors import Problem

_NAMES = _("This looks like a person's number or address: write it without. What was written here is not repeated.")
FAULT = _("It could not be done; nothing was changed.")


def free_text(label: Any, *, required: bool = False, help_text: Any = "") -> forms.CharField:
    widget = UnfoldAdminTextareaWidget(attrs={"rows": 3})
    return forms.CharField(
        label=capfirst(label), max_length=4000, required=required, widget=widget, help_text=help_text
    )


class TextForm(forms.Form):
    """Fields made by `free_text`, and others; its fields are named as the domain's faults point at them."""

    def refused(self, problem: Problem, told: Mapping[str, Any]) -> None:
        """Say what is wrong; `told`: in words, by code. A text that looks like it names somebody is not repeated."""
        named = [fault.pointer[1:] for fault in problem.errors if fault.code == "identifier_in_text"]
        for name in named:
            self.add_error(name, str(_NAMES))
        self.data = {**{key: self.data[key] for key in self.data}, **dict.fromkeys(named, "")}
        if not named:
            self.add_error(None, str(told.get(problem.code, FAULT)))
