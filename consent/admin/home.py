"""The officers' first page: what needs somebody now, as each table that they may see tells of it. Keys have no table."""

from collections.abc import Iterator
from datetime import datetime
from typing import Any

from django.apps import apps
from django.contrib import admin
from django.http import HttpRequest
from django.utils.formats import date_format
from django.utils.timezone import localtime
from django.utils.translation import gettext

from consent import edge
from consent.admin.base import Officers, picked
from consent.admin.figures import Figure, Section, counted, waiting
from consent.programs.models import MiniProgram
from consent.vault.models import DataKey
from consent.vault.signing import BEGINNING

KEYS_PERMISSION = "consent.view_datakey"


def sections(request: HttpRequest) -> list[dict[str, Any]]:
    """Each section of which this officer may see something, with its figures; none outside of a mini-program."""
    program = picked(request)
    if program is None:
        return []
    found = list(_figures(request, program))
    told = ({"title": one.label, "name": one.value, "figures": _of(found, one)} for one in Section)
    return [section for section in told if section["figures"]]


def _of(figures: list[Figure], section: Section) -> list[Figure]:
    return [figure for figure in figures if figure.section == section]


def _figures(request: HttpRequest, program: MiniProgram) -> Iterator[Figure]:
    for model in apps.get_models():
        if admin.site.is_registered(model):
            table = admin.site.get_model_admin(model)
            if isinstance(table, Officers):
                yield from table.figures(request, program)
    if request.user.has_perm(KEYS_PERMISSION):
        yield from _keys(program)


def _keys(program: MiniProgram) -> Iterator[Figure]:
    """Which versions are in use, and since when where the keyring says so."""
    ring, now = edge.vault().keyring, edge.now()
    unknown = gettext("The keyring does not say since when.")
    for words, keys in ((gettext("Key-encryption key"), ring.key_encryption), (gettext("Index key"), ring.index)):
        note = unknown if keys.made is None else gettext("Made on %(day)s.") % {"day": _day(keys.made)}
        yield Figure(Section.KEYS, words, _version(keys.primary), note=note)
    signing = ring.signing.of(now)
    if signing is not None:
        known = signing.since != BEGINNING
        note = gettext("Signs since %(day)s.") % {"day": _day(signing.since)} if known else unknown
        yield Figure(Section.KEYS, gettext("Signing key"), _version(signing.version), note=note)
    earlier = DataKey.objects.filter(program_id=program.pk, key_version__lt=ring.key_encryption.primary)
    yield waiting(Section.KEYS, gettext("Data keys under an earlier key-encryption key"), counted(earlier))


def _day(moment: datetime) -> str:
    return date_format(localtime(moment), "Y-m-d")


def _version(number: int) -> str:
    return gettext("version %(number)d") % {"number": number}
