"""A form that changes a row as its page showed it: what another officer did to the row meanwhile is not taken back by it."""

from django import forms
from django.utils.translation import gettext_lazy as _

TEMPLATE = "consent/admin/seen.html"
"""Within the page's form, as `change_form_before_template`."""
FAULTS = {
    "changed_meanwhile": _(
        "Somebody else has changed it since this page was shown; nothing was saved. What you entered still stands here: open"
        " the page once more beside this one, and enter there what is still to be changed."
    ),
}


class SeenForm(forms.ModelForm):  # type: ignore[type-arg]  # Django's class takes no parameter when it runs
    """`seen`: the domain's mark of the row that was shown. A page that is refused keeps it, with what was entered."""

    seen = forms.CharField(required=False, widget=forms.HiddenInput)
