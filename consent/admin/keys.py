"""The keys that are in use, by their versions: on the first page, and each with what it wraps on a page of its own."""

from collections.abc import Iterator
from datetime import datetime

from django.contrib import admin
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponseBase
from django.shortcuts import redirect
from django.template.response import TemplateResponse
from django.urls import reverse
from django.utils.formats import date_format
from django.utils.timezone import localtime
from django.utils.translation import gettext
from django.views.decorators.http import require_safe

from consent import edge
from consent.admin.base import picked
from consent.admin.figures import Figure, Section, as_text, counted, waiting
from consent.programs.models import MiniProgram
from consent.vault.keyring import Keyring, KeySet
from consent.vault.models import DataKey
from consent.vault.signing import BEGINNING, SigningKey

PERMISSION = "consent.view_datakey"


def may_see(request: HttpRequest) -> bool:
    return request.user.has_perm(PERMISSION)


def figures(program: MiniProgram) -> Iterator[Figure]:
    """Which versions are in use, and since when where the keyring says so."""
    ring, now, href = edge.vault().keyring, edge.now(), reverse("admin_keys")
    unknown = gettext("The keyring does not say since when.")
    for words, keys in _families(ring):
        note = unknown if keys.made is None else gettext("Made on %(day)s.") % {"day": _day(keys.made)}
        yield Figure(Section.KEYS, words, _version(keys.primary), href, note=note)
    signing = ring.signing.of(now)
    if signing is not None:
        since = _since(signing)
        note = gettext("Signs since %(day)s.") % {"day": since} if since else unknown
        yield Figure(Section.KEYS, gettext("Signing key"), _version(signing.version), href, note=note)
    earlier = DataKey.objects.filter(program_id=program.pk, key_version__lt=ring.key_encryption.primary)
    words = gettext("Data keys under an earlier key-encryption key")
    yield waiting(Section.KEYS, words, counted(earlier), href=href)


@require_safe
def keys_page(request: HttpRequest) -> HttpResponseBase:
    """Every version that can be used, and how many of the mini-program's data keys are under it. No key is shown."""
    program = picked(request)
    if program is None:
        return redirect("admin_program")
    if not may_see(request):
        raise PermissionDenied
    context = {
        **admin.site.each_context(request),
        "title": gettext("Keys"),
        "heads": [gettext("kind of key"), gettext("version"), gettext("use"), gettext("data keys under it")],
        "rows": list(_rows(program, edge.vault().keyring)),
    }
    return TemplateResponse(request, "consent/admin/rows.html", context)


def _rows(program: MiniProgram, ring: Keyring) -> Iterator[tuple[str, str, str, str]]:
    for words, keys in _families(ring):
        for version in sorted(keys.keys, reverse=True):
            under = "–"
            if keys is ring.key_encryption:
                under = as_text(counted(DataKey.objects.filter(program_id=program.pk, key_version=version)))
            yield words, _version(version), _use(in_use=version == keys.primary), under
    signing = ring.signing.of(edge.now())
    for key in reversed(ring.signing.keys):
        since = _since(key)
        use = gettext("signs from %(day)s on") % {"day": since} if since else _use(in_use=key is signing)
        yield gettext("Signing key"), _version(key.version), use, "–"


def _families(ring: Keyring) -> list[tuple[str, KeySet]]:
    return [(gettext("Key-encryption key"), ring.key_encryption), (gettext("Index key"), ring.index)]


def _use(*, in_use: bool) -> str:
    return gettext("for what is new") if in_use else gettext("for what it made")


def _since(key: SigningKey) -> str:
    return _day(key.since) if key.since != BEGINNING else ""


def _day(moment: datetime) -> str:
    return date_format(localtime(moment), "Y-m-d")


def _version(number: int) -> str:
    return gettext("version %(number)d") % {"number": number}
