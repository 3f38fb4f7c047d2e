"""Finding the requests of whoever calls by telephone. The number is sent in a body: it becomes part of no address."""

from datetime import timedelta
from typing import Any

from django.conf import settings
from django.contrib import admin
from django.core.exceptions import PermissionDenied
from django.db import transaction
from django.http import HttpRequest, HttpResponseBase
from django.shortcuts import redirect
from django.template.response import TemplateResponse
from django.utils.formats import date_format
from django.utils.timezone import localtime
from django.utils.translation import gettext as _
from django.views.decorators.http import require_http_methods

from consent import edge
from consent.admin.base import officer, picked
from consent.admin.standing import standing
from consent.errors import Invalid
from consent.ledger.audit import audit, counted
from consent.rights.models import SubjectRequest
from consent.rights.queries import requests_of
from consent.vault import identities

PERMISSIONS = ("consent.view_subjectrequest", "consent.find_by_phone")
HOUR = timedelta(hours=1)
ACTION = "phone.looked_up"


def may_find(request: HttpRequest) -> bool:
    return request.user.has_perms(PERMISSIONS)


@require_http_methods(["GET", "HEAD", "POST"])
def find_by_phone(request: HttpRequest) -> HttpResponseBase:
    """A form; a POST tells how many people have the number, with their requests, and is kept in the audit log."""
    program = picked(request)
    if program is None:
        return redirect("admin_program")
    if not may_find(request):
        raise PermissionDenied
    context: dict[str, Any] = {**admin.site.each_context(request), "title": _("Find by telephone number")}
    if request.method == "POST":
        try:
            phone = identities.checked_values({"phone": request.POST.get("phone", "")}, pointer="")["phone"]
        except Invalid:
            context["error"] = _("Give + and 8 to 15 digits, or a mobile number of mainland China.")
        else:
            context |= _found(request, program.pk, phone)
    return TemplateResponse(request, "consent/admin/phone.html", context)


def _found(request: HttpRequest, program_id: int, phone: str) -> dict[str, Any]:
    """Nothing is looked for beyond what an officer may ask in an hour: who asks for every number learns who is here."""
    most, now = settings.ZHIQING_PHONE_SEARCHES, edge.now()
    with transaction.atomic():
        before = counted(program_id=program_id, actor=officer(request), action=ACTION, since=now - HOUR)
        if len(before) >= most:
            again = date_format(localtime(before[-most] + HOUR), "H:i")
            told = _(
                "You searched %(most)d times within an hour, which is as often as you may: search again after %(again)s."
            )
            return {"error": told % {"most": most, "again": again}}
        people = identities.with_phone(edge.vault(), program_id, phone)
        found = requests_of(program_id, people)
        audit(
            program_id=program_id,
            actor=officer(request),
            action=ACTION,
            target=f"program:{program_id}",
            details={"people": len(people)},
        )
    return {"asked": True, "people": len(people), "requests": [_shown(row) for row in found]}


def _shown(row: SubjectRequest) -> dict[str, Any]:
    return {
        "pk": row.pk,
        "kind": row.get_kind_display(),
        "received_at": row.received_at,
        "state": row.get_state_display(),
        "standing": standing(row, now=edge.now())[1],
    }
