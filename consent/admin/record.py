"""The record of processing: a page to read and to print, and the same as JSON."""

from typing import Any

from django.contrib import admin
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponseBase, JsonResponse
from django.shortcuts import redirect
from django.template.response import TemplateResponse
from django.utils.translation import get_language
from django.utils.translation import gettext as _
from django.views.decorators.http import require_safe

from consent import edge
from consent.admin.base import picked
from consent.notices.models import Audience
from consent.notices.words import CATEGORIES
from consent.processing.models import MechanismKind
from consent.processing.record import record
from consent.rights.classification import grade_in_words, kind_in_words
from consent.rights.languages import language

PERMISSIONS = ("consent.view_purpose", "consent.view_processor", "consent.view_mechanism", "tracking.view_eventtype")
_LOCALES = {"zh-hans": "zh-Hans", "en": "en"}


def may_see(request: HttpRequest) -> bool:
    return request.user.has_perms(PERMISSIONS)


@require_safe
def record_page(request: HttpRequest) -> HttpResponseBase:
    """In the officer's language, as far as the notices are written in it."""
    program = picked(request)
    if program is None:
        return redirect("admin_program")
    told = _record(request, program.pk)
    for term in (*told["processors"], *told["mechanisms"]):
        term["categories"] = [CATEGORIES.get(code, code) for code in term.get("categories", [])]
        term["kind"] = MechanismKind(term["kind"]).label if "kind" in term else ""
    for event in told.get("events", []):
        event["categories"] = [CATEGORIES.get(code, code) for code in event["categories"]]
        for held in event["properties"]:
            held["classification"] = kind_in_words(held["classification"])
            held["grade"] = grade_in_words(held["grade"])
    for notice in told["notices"]:
        notice["audience_label"] = Audience(notice["audience"]).label
    context = {
        **admin.site.each_context(request),
        "title": _("Record of processing"),
        "record": told,
        "now": edge.now(),
    }
    return TemplateResponse(request, "consent/admin/record.html", context)


@require_safe
def record_json(request: HttpRequest) -> HttpResponseBase:
    """As consent.processing.record answers it."""
    program = picked(request)
    if program is None:
        return redirect("admin_program")
    response = JsonResponse(_record(request, program.pk), json_dumps_params={"ensure_ascii": False, "indent": 2})
    response["Content-Disposition"] = 'attachment; filename="record-of-processing.json"'
    return response


def _record(request: HttpRequest, program_id: int) -> dict[str, Any]:
    """Raises PermissionDenied."""
    if not may_see(request):
        raise PermissionDenied
    return record(program_id, locale=_LOCALES[language(get_language() or "")], now=edge.now())
