"""An officer's own password: who was given one by somebody else chooses another before anything else answers."""

from typing import Any

from django.contrib import admin
from django.contrib.auth.models import User
from django.contrib.auth.views import PasswordChangeView
from django.core.exceptions import ValidationError
from django.db import transaction
from django.http import HttpResponse
from django.urls import reverse_lazy
from django.utils.translation import gettext_lazy as _
from unfold.forms import AdminOwnPasswordChangeForm

from consent import edge
from consent.officers import accounts, attempts


class OwnPasswordForm(AdminOwnPasswordChangeForm):  # type: ignore[misc]  # unfold carries no types
    """The old one, and twice a new one that is another."""

    def __init__(self, user: User, *args: Any, **kwargs: Any) -> None:
        super().__init__(user, *args, **kwargs)
        if accounts.password_due(user):
            self.fields["old_password"].help_text = _(
                "Somebody else set this password. Choose one that only you know to go on."
            )

    def clean_old_password(self) -> str:
        """Wrong ones are counted as at the sign-in: whoever has a session may not try on here."""
        now = edge.now()
        counters = [attempts.counter(edge.vault().lookup, "account", self.user.get_username())]
        if not attempts.begin(counters, now=now):
            raise ValidationError(
                _("There were too many wrong passwords: wait a minute, after more of them up to an hour.")
            )
        try:
            given: str = super().clean_old_password()
        except ValidationError:
            attempts.failed(counters, account=accounts.named(self.user.pk), now=now)
            raise
        attempts.succeeded(counters)
        return given

    def clean_new_password1(self) -> str:
        given: str = self.cleaned_data["new_password1"]
        if given == self.cleaned_data.get("old_password"):
            raise ValidationError(_("This is the password you have: choose another one."))
        return given


class OwnPassword(PasswordChangeView):
    """In the place of Django's, beside which it leaves an entry in the log of accounts."""

    form_class = OwnPasswordForm
    success_url = reverse_lazy("admin:password_change_done")

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        return super().get_context_data(**admin.site.each_context(self.request), **kwargs)

    @transaction.atomic
    def form_valid(self, form: Any) -> HttpResponse:
        accounts.password_chosen(form.user.pk)
        return super().form_valid(form)
