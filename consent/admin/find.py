"""Finding a person by an identifier, a telephone number or the pseudonym. What is typed is sent in a body: it becomes part of no
address, log, entry or row, and no page repeats it."""

from collections import Counter
from typing import Any

from django import forms
from django.conf import settings
from django.contrib import admin
from django.core.exceptions import PermissionDenied
from django.db import transaction
from django.http import HttpRequest, HttpResponseBase
from django.shortcuts import redirect
from django.template.response import TemplateResponse
from django.urls import reverse
from django.utils.formats import date_format
from django.utils.timezone import localtime
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from django.views.decorators.http import require_http_methods
from unfold.widgets import UnfoldAdminSelectWidget, UnfoldAdminTextInputWidget

from consent import edge
from consent.admin.base import officer, picked
from consent.errors import Invalid
from consent.ledger.audit import again_at, audit
from consent.officers import references
from consent.rights.models import RequestSubject
from consent.vault import identities
from consent.vault.lookup import PSEUDONYM
from consent.vault.models import IdentifierKind, Subject

PERMISSIONS = ("consent.find_subject", "consent.view_subjectrequest", "consent.view_consentrecord")
ACTION = "person.looked_up"
MAX_CHARS = 200


class FindForm(forms.Form):
    """What kind of value it is, and the value: never filled in again."""

    kind = forms.ChoiceField(
        label=gettext_lazy("Kind"),
        choices=[*IdentifierKind.choices, (PSEUDONYM, gettext_lazy("pseudonym (subject_id)"))],
        widget=UnfoldAdminSelectWidget,
    )
    value = forms.CharField(
        label=gettext_lazy("Value"),
        max_length=MAX_CHARS,
        widget=UnfoldAdminTextInputWidget(attrs={"autocomplete": "off", "spellcheck": "false"}),
    )


def may_find(request: HttpRequest) -> bool:
    return request.user.has_perms(PERMISSIONS)


def link_to(request: HttpRequest, program_id: int, subject_id: int) -> str:
    """The address of a person's page, for this officer's session and half an hour."""
    reference = references.refer(
        edge.vault(),
        subject_id,
        program_id=program_id,
        session=request.session.session_key or "",
        now=edge.now(),
    )
    return reverse("admin_person", args=[reference])


@require_http_methods(["GET", "HEAD", "POST"])
def find_person(request: HttpRequest) -> HttpResponseBase:
    """A form; a POST tells how many people there are, and leads to the page of each. It is kept in the audit log."""
    program = picked(request)
    if program is None:
        return redirect("admin_program")
    if not may_find(request):
        raise PermissionDenied
    context: dict[str, Any] = {**admin.site.each_context(request), "title": _("Find a person"), "form": FindForm()}
    if request.method == "POST":
        typed = FindForm(request.POST)
        kind = typed.cleaned_data.get("kind", "") if typed.is_valid() else ""
        context["form"] = FindForm(initial={"kind": kind})
        context |= _found(request, program.pk, kind, typed.cleaned_data["value"]) if kind else {"error": _fault("")}
    return TemplateResponse(request, "consent/admin/find.html", context)


def _found(request: HttpRequest, program_id: int, kind: str, value: str) -> dict[str, Any]:
    """Nothing is looked for beyond what an officer may ask in an hour: who asks for every number learns who is here."""
    most, now = settings.ZHIQING_PERSON_SEARCHES, edge.now()
    with transaction.atomic():
        again = again_at(actor=officer(request), action=ACTION, most=most, now=now)
        if again is not None:
            told = _(
                "You searched %(most)d times within an hour, which is as often as you may: search again after %(again)s."
            )
            return {"error": told % {"most": most, "again": date_format(localtime(again), "H:i")}}
        try:
            found = identities.looked_up(edge.vault(), program_id, kind, value)
        except Invalid:
            return {"error": _fault(kind)}
        people = list(Subject.objects.filter(program_id=program_id, id__in=found).order_by("created_at", "id"))
        asked = Counter(RequestSubject.objects.filter(subject__in=people).values_list("subject_id", flat=True))
        audit(
            program_id=program_id,
            actor=officer(request),
            action=ACTION,
            target=f"program:{program_id}",
            details={"kind": kind, "people": len(people)},
        )
    shown = [
        {"href": link_to(request, program_id, person.id), "since": person.created_at, "requests": asked[person.id]}
        for person in people
    ]
    return {"asked": True, "people": shown}


def _fault(kind: str) -> str:
    """What a value has to be like; it is not repeated."""
    if kind == IdentifierKind.PHONE:
        return _("Give + and 8 to 15 digits, or a mobile number of mainland China.")
    if kind == PSEUDONYM:
        return _("A pseudonym is the subject_id that the API answers, a UUID.")
    return _("Choose a kind, and give 1 to 128 characters without spaces around them.")
