"""Why an officer has somebody's data opened: the reference that a form asks for, and what is told where one may not."""

from datetime import timedelta

from django import forms
from django.utils.formats import date_format
from django.utils.timezone import localtime
from django.utils.translation import gettext, gettext_lazy
from unfold.widgets import UnfoldAdminTextInputWidget

from consent import edge
from consent.errors import Invalid, RateLimited
from consent.rights.reveal import LONGEST_REFERENCE

_MISSING = {
    "request_id": gettext_lazy("Say which request it is."),
    "incident_id": gettext_lazy("Say which incident it is."),
    "reference": gettext_lazy("Give the reference of the letter, in one line."),
}
_FAULTS = {
    "identifier_in_reference": gettext_lazy(
        "This looks like a person's number or address: give the number of the letter."
    ),
}


class Referring(forms.Form):
    """A form that may have to name an authority's letter."""

    reference = forms.CharField(
        label=gettext_lazy("Reference of the authority's letter"),
        help_text=gettext_lazy("It stays in the audit log: the number of the letter, and nobody's name."),
        required=False,
        max_length=LONGEST_REFERENCE,
        widget=UnfoldAdminTextInputWidget(attrs={"autocomplete": "off"}),
    )

    def refused(self, problem: Invalid, name: str = "reference") -> None:
        """Say what is wrong with the field. A reference that names somebody is not repeated."""
        self.add_error(name, str(_FAULTS.get(problem.code, _MISSING[name])))
        self.data = {**{key: self.data[key] for key in self.data}, "reference": ""}

    def too_many(self, problem: RateLimited, *, most: int) -> None:
        """Say that an officer saw `most` people within an hour, and when they may again."""
        again = localtime(edge.now() + timedelta(seconds=problem.retry_after or 0))
        told = gettext(
            "You saw %(most)d people within an hour, which is as many as you may: try again after %(again)s."
        )
        self.add_error(None, told % {"most": most, "again": date_format(again, "H:i")})
