"""The officers' first page: what needs somebody now, as each table that they may see tells of it. Keys have no table."""

from collections.abc import Iterator
from typing import Any

from django.apps import apps
from django.contrib import admin
from django.http import HttpRequest

from consent.admin import keys
from consent.admin.base import Officers, picked
from consent.admin.figures import Figure, Section
from consent.programs.models import MiniProgram


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
    if keys.may_see(request):
        yield from keys.figures(program)
