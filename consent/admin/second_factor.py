"""Nothing of the officers' pages answers a session that has not verified its second factor, or has gone on for too long, or
whose officer has yet to choose a password.

What a session keeps of it is when it was verified, when it was last used, and which enrolment it was: after a reset none counts.
"""

from datetime import datetime, timedelta
from functools import cache
from typing import Any
from urllib.parse import quote, urlencode

import segno
from django import forms
from django.contrib import admin
from django.contrib.auth import logout
from django.contrib.auth.models import User
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponseBase
from django.shortcuts import redirect
from django.template.response import TemplateResponse
from django.urls import reverse
from django.utils.safestring import SafeString, mark_safe
from django.utils.translation import gettext_lazy as _
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_http_methods
from unfold.forms import AuthenticationForm
from unfold.widgets import UnfoldAdminTextInputWidget

from consent import edge
from consent.admin.base import going_on
from consent.admin.security import GetResponse, below_admin
from consent.errors import Conflict
from consent.officers import accounts, attempts, second_factor

SESSION_KEY, SHOWN_KEY = "zq_second_factor", "zq_enrolling"
IDLE, LONGEST = timedelta(minutes=30), timedelta(hours=8)
TOUCHED = timedelta(minutes=1)
"""How exactly it is known when a session was last used: each time it is written down costs a statement."""
ISSUER = "Zhiqing"
TO_ALL = ("admin:login", "admin:logout", "admin_language")
"""Pages that answer without a session."""
WITHOUT = (*TO_ALL, "admin_second_factor", "admin_enrol")
"""Pages that answer before the second factor, the last two being where it is asked for."""


@cache
def _paths(names: tuple[str, ...]) -> frozenset[str]:
    return frozenset(map(reverse, names))


class SecondFactor:
    """Sends on who has signed in by password alone; ends sessions that were idle, or began, too long ago."""

    def __init__(self, get_response: GetResponse) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        user = request.user
        if not below_admin(request) or not isinstance(user, User):
            return self.get_response(request)
        now, kept, after = edge.now(), request.session.get(SESSION_KEY), urlencode({"next": request.get_full_path()})
        # Before anything is open to it: a session that is over, or of before a reset, would enrol, or be begun anew, by a code alone.
        if kept is not None and (kept["mark"] != second_factor.mark(accounts.of(user)) or _over(kept, now)):
            logout(request)
            return (
                self.get_response(request)
                if request.path in _paths(TO_ALL)
                else redirect(f"{reverse('admin:login')}?{after}")
            )
        if request.path in _paths(WITHOUT):
            return self.get_response(request)
        if kept is None:
            return redirect(f"{reverse('admin_second_factor')}?{after}")
        if now - datetime.fromisoformat(kept["seen"]) > TOUCHED:
            request.session[SESSION_KEY] = kept | {"seen": now.isoformat()}
        choosing = reverse("admin_password")
        if accounts.password_due(user) and request.path != choosing:
            return redirect(choosing)
        return self.get_response(request)


def _over(kept: dict[str, str], now: datetime) -> bool:
    began, seen = (datetime.fromisoformat(kept[name]) for name in ("began", "seen"))
    return now - began > LONGEST or now - seen > IDLE


def _keep(request: HttpRequest, user: User, now: datetime) -> None:
    """Under a new session key, so that one from before is worth nothing."""
    user.refresh_from_db()
    request.session.cycle_key()
    at, before = now.isoformat(), request.session.get(SESSION_KEY)
    began = at if before is None else before["began"]
    request.session[SESSION_KEY] = {"mark": second_factor.mark(accounts.of(user)), "began": began, "seen": at}


class SignInForm(AuthenticationForm):  # type: ignore[misc]  # unfold carries no types
    """One answer to whatever is wrong, a pause included: it tells nothing of accounts."""

    error_messages = {
        **AuthenticationForm.error_messages,
        "invalid_login": _(
            "Name and password do not match, or there were too many wrong attempts: then wait a minute, after more of them"
            " up to an hour."
        ),
    }


admin.site.login_form = SignInForm


class CodeForm(forms.Form):
    """A code of the authenticator, or a recovery code."""

    code = forms.CharField(
        label=_("Code"),
        max_length=40,
        widget=UnfoldAdminTextInputWidget(
            attrs={"autocomplete": "one-time-code", "autofocus": True, "autocapitalize": "none", "spellcheck": "false"}
        ),
    )


@never_cache
@require_http_methods(["GET", "HEAD", "POST"])
def ask(request: HttpRequest) -> HttpResponseBase:
    """Asks for a code; a POST with a right one leads on. Who is not enrolled yet is sent to that."""
    user = request.user
    if not isinstance(user, User) or not admin.site.has_permission(request):
        return redirect("admin:login")
    after = going_on(request.GET.get("next", "") or request.POST.get("next", ""))
    if second_factor.mark(accounts.of(user)) is None:
        return redirect(f"{reverse('admin_enrol')}?{urlencode({'next': after})}")
    form = CodeForm(request.POST if request.method == "POST" else None)
    if form.is_valid() and _right(request, user, form):
        _keep(request, user, edge.now())
        return redirect(after)
    return _page(request, "code", _("Second factor"), {"form": form, "next": after})


def _right(request: HttpRequest, user: User, form: CodeForm) -> bool:
    """Wrong codes are counted as wrong passwords are; the form says then what it is."""
    now, vault = edge.now(), edge.vault()
    counters = [attempts.counter(vault.lookup, "code", str(user.pk))]
    if not attempts.begin(counters, now=now):
        form.add_error("code", _("There were too many wrong codes: wait a minute, after more of them up to an hour."))
        return False
    if second_factor.verify(vault.keyring, user.pk, form.cleaned_data["code"], now=now):
        attempts.succeeded(counters)
        return True
    attempts.failed(counters, account=accounts.named(user.pk), now=now)
    form.add_error("code", _("This code is wrong, over, or was used before: enter the next one."))
    return False


@never_cache
@require_http_methods(["GET", "HEAD", "POST"])
def renew(request: HttpRequest) -> HttpResponseBase:
    """How many recovery codes are left; a POST with a code answers new ones, this once, and those before are worth nothing.

    Within admin.site.admin_view: the session has verified the second factor.
    """
    user = request.user
    if not isinstance(user, User):
        raise PermissionDenied
    form = CodeForm(request.POST if request.method == "POST" else None)
    if form.is_valid() and _right(request, user, form):
        codes = second_factor.renew_recovery(user.pk)
        return _page(request, "recovery", _("Recovery codes"), {"codes": codes, "next": reverse("admin:index")})
    left = second_factor.recovery_left(user.pk)
    return _page(request, "renew", _("Recovery codes"), {"form": form, "left": left})


@never_cache
@require_http_methods(["GET", "HEAD", "POST"])
def enrol(request: HttpRequest) -> HttpResponseBase:
    """Shows the secret; a POST with a code of it enrols the account, and answers the recovery codes this once."""
    user = request.user
    if not isinstance(user, User) or not admin.site.has_permission(request):
        return redirect("admin:login")
    after = going_on(request.GET.get("next", "") or request.POST.get("next", ""))
    if second_factor.mark(accounts.of(user)) is not None:
        return redirect(f"{reverse('admin_second_factor')}?{urlencode({'next': after})}")
    now, keyring = edge.now(), edge.vault().keyring
    form = CodeForm(request.POST if request.method == "POST" else None)
    shown_before = request.session.get(SHOWN_KEY)
    if form.is_valid():
        try:
            codes = second_factor.enrol(keyring, user.pk, form.cleaned_data["code"], shown=shown_before, now=now)
        except Conflict:
            # By another window of theirs, a moment ago.
            return redirect(f"{reverse('admin_second_factor')}?{urlencode({'next': after})}")
        if codes is not None:
            _keep(request, user, now)
            return _page(request, "recovery", _("Recovery codes"), {"codes": codes, "next": after})
        form.add_error(
            "code", _("This is not the code of now: look again, and set the telephone's clock by the network.")
        )
    begun = second_factor.begin(keyring, user.pk, shown=shown_before)
    request.session[SHOWN_KEY] = second_factor.fingerprint(begun)
    secret = second_factor.text(begun)
    shown = {"form": form, "next": after, "picture": _picture(user, secret), "secret": _grouped(secret)}
    return _page(request, "enrol", _("Set up the second factor"), shown)


def _page(request: HttpRequest, name: str, title: Any, context: dict[str, Any]) -> HttpResponseBase:
    """Without a side bar: to this session nothing is open yet."""
    shown = {**admin.site.each_context(request), **context, "title": title}
    return TemplateResponse(request, f"consent/admin/second_factor_{name}.html", shown)


def _picture(user: User, secret: str) -> SafeString:
    """The address of the secret that authenticators read (Google's Key URI Format), as a QR code in the page itself."""
    label = quote(f"{ISSUER}:{user.get_username()}")
    address = f"otpauth://totp/{label}?{urlencode({'secret': secret, 'issuer': ISSUER})}"
    drawn = segno.make(address, error="m", micro=False).svg_inline(scale=4, light="white", border=3)
    return mark_safe(str(drawn))  # noqa: S308  # segno's own drawing


def _grouped(secret: str) -> str:
    return " ".join(secret[at : at + 4] for at in range(0, len(secret), 4))
