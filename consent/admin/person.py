"""The page of a person, without a value, and the page that shows the values once. Neither is addressed by anything of theirs."""

import uuid
from collections import defaultdict
from datetime import UTC, date, timedelta
from typing import Any

from django import forms
from django.conf import settings
from django.contrib import admin, messages
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
from unfold.widgets import UnfoldAdminSelectWidget

from consent import edge
from consent.admin.badges import CONSENT_STATES, REQUEST_STATES, badge, word
from consent.admin.base import localised, officer, picked
from consent.admin.causes import Referring
from consent.admin.find import may_find
from consent.admin.minor_access import TOLD_WAITING
from consent.admin.standing import standing as deadline
from consent.errors import Conflict, Invalid, NotFound, RateLimited
from consent.ledger.audit import audit
from consent.notices.reading import LANGUAGES
from consent.officers import references
from consent.processing import incidents
from consent.records.minors import is_minor
from consent.records.models import AUTHORISING, ConsentRecord, ConsentState
from consent.records.queries import coverage, db_now, standing
from consent.rights import barrier, languages, legal_holds
from consent.rights.holders import UnknownHolder, holder_of, holders
from consent.rights.models import SubjectRequest
from consent.rights.queries import requests_of, to_answer
from consent.rights.reveal import REFERS, Cause, Reason, Revealed, reveal
from consent.vault.models import IdentifierKind, Subject, SubjectIdentifier

REVEAL_PERMISSION = "consent.reveal_subject"
REQUESTS, RECORDS, DAYS = 50, 50, 30
"""How many requests and consent records the page shows, the newest, and of how many days the events are counted."""
OFFERED = 100
"""How many requests and incidents a reason may refer to, the newest."""


class RevealForm(Referring):
    """Why the values are to be seen, and what that refers to."""

    reason = forms.ChoiceField(
        label=gettext_lazy("Reason"),
        choices=[("", gettext_lazy("Select value")), *Reason.choices],
        widget=UnfoldAdminSelectWidget,
    )
    request_id = forms.TypedChoiceField(
        label=gettext_lazy("Request it is for"),
        help_text=gettext_lazy("For the first two reasons: one of theirs that is still to be answered."),
        required=False,
        coerce=uuid.UUID,
        empty_value=None,
        widget=UnfoldAdminSelectWidget,
    )
    incident_id = forms.TypedChoiceField(
        label=gettext_lazy("Incident"),
        help_text=gettext_lazy("Where they are told of one that is open."),
        required=False,
        coerce=int,
        empty_value=None,
        widget=UnfoldAdminSelectWidget,
    )
    field_order = ("reason", "request_id", "incident_id", "reference")

    def __init__(self, *args: Any, subject: Subject, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        asked = to_answer(subject.program_id, subject.id, now=edge.now())[:OFFERED]
        requests = [
            (str(one.pk), f"{str(one.pk)[:8]} · {one.get_kind_display()} · {_minute(one.received_at)}") for one in asked
        ]
        opened = incidents.still_open(subject.program_id)[:OFFERED]
        numbered = [(str(one.pk), f"#{one.pk} · {_minute(one.opened_at)}") for one in opened]
        for name, offered in (("request_id", requests), ("incident_id", numbered)):
            self.fields[name].choices = [("", _("none")), *offered]  # type: ignore[attr-defined]  # a ChoiceField's

    def cause(self) -> Cause:
        """Of a valid form: the reason with what it refers to, whatever else was filled in."""
        reason = Reason(self.cleaned_data["reason"])
        return Cause(reason, **{REFERS[reason]: self.cleaned_data[REFERS[reason]]})


@require_http_methods(["GET", "HEAD"])
def person_page(request: HttpRequest, reference: str) -> HttpResponseBase:
    """What is held of a person, in kinds, states and numbers; the audit log keeps that it was looked at."""
    subject = _subject(request, reference)
    if not isinstance(subject, Subject):
        return subject
    with transaction.atomic():
        audit(
            program_id=subject.program_id,
            actor=officer(request),
            action="person.viewed",
            target=f"program:{subject.program_id}",
        )
    asked = requests_of(subject.program_id, [subject.id], limit=REQUESTS + 1)
    context = {
        "reference": reference,
        "may_reveal": request.user.has_perm(REVEAL_PERMISSION),
        "requests": [_request(one) for one in asked[:REQUESTS]],
        "more_requests": len(asked) > REQUESTS,
        **_standing(subject),
    }
    if not context["closed"]:
        context |= _held(subject, minor=context["minor"])
    return _answer(request, "person", _("A person"), context)


@require_http_methods(["GET", "HEAD", "POST"])
def reveal_page(request: HttpRequest, reference: str) -> HttpResponseBase:
    """The page asks for the reason; a POST with one shows the values, or says that another officer has to approve."""
    subject = _subject(request, reference, REVEAL_PERMISSION)
    if not isinstance(subject, Subject):
        return subject
    form = RevealForm(request.POST if request.method == "POST" else None, subject=subject)
    minor = is_minor(subject, db_now())
    context: dict[str, Any] = {"reference": reference, "form": form, "minor": minor}
    if form.is_valid():
        revealed = _revealed(request, subject, form)
        if revealed is None and form.is_valid():
            return redirect(reverse("admin_person", args=[reference]))
        if revealed is not None:
            kinds = [(IdentifierKind(kind).label, value) for kind, value in revealed.identifiers.items()]
            context |= {
                "shown": [(_("Identifiers"), kinds), (_("Profile attributes"), list(revealed.attributes.items()))],
                **(_done(subject) if minor else {}),
            }
    return _answer(request, "reveal", _("Identifiers and profile"), context)


def _revealed(request: HttpRequest, subject: Subject, form: RevealForm) -> Revealed | None:
    """None where the form says why not, or a message does."""
    most = settings.ZHIQING_PERSON_REVEALS
    try:
        revealed = reveal(
            vault=edge.vault(),
            program_id=subject.program_id,
            subject_id=subject.id,
            cause=form.cause(),
            most=most,
            by=officer(request),
        )
    except RateLimited as problem:
        form.too_many(problem, most=most)
    except Invalid as problem:
        form.refused(problem, REFERS[form.cause().reason])
    except (Conflict, NotFound):
        messages.warning(request, _("The person's data are closed to reading, or what it is for is over."))
    else:
        if revealed is None:
            messages.info(request, str(TOLD_WAITING))
        return revealed
    return None


def _answer(request: HttpRequest, name: str, title: str, context: dict[str, Any]) -> HttpResponseBase:
    """As every page of the admin, one that no browser keeps."""
    return TemplateResponse(
        request, f"consent/admin/{name}.html", {**admin.site.each_context(request), "title": title, **context}
    )


def _subject(request: HttpRequest, reference: str, *permissions: str) -> Subject | HttpResponseBase:
    """Whom a reference of this session leads to, or where to go instead. Raises PermissionDenied."""
    program = picked(request)
    if program is None:
        return redirect("admin_program")
    if not may_find(request) or not request.user.has_perms(permissions):
        raise PermissionDenied
    subject_id = references.referred(
        edge.vault(),
        reference,
        program_id=program.pk,
        session=request.session.session_key or "",
        now=edge.now(),
    )
    subject = None if subject_id is None else Subject.objects.filter(program_id=program.pk, id=subject_id).first()
    if subject is None:
        messages.warning(request, _("This page of a person is over: look for them again."))
        return redirect("admin_find")
    return subject


def _standing(subject: Subject) -> dict[str, Any]:
    """What an officer sees whatever the data are closed to."""
    held = legal_holds.standing(subject.program_id, subject.id).items()
    return {
        "since": subject.created_at,
        "erasure_pending": subject.erasure_pending,
        "restricted": subject.restricted,
        "closed": _closed(subject),
        "minor": is_minor(subject, db_now()),
        "under_14": subject.under_14,
        "holds": [{"holder": _holder(name), "law": hold.law, "until": hold.until} for name, hold in held],
    }


def _closed(subject: Subject) -> bool:
    try:
        barrier.refuse_opening(subject)
    except Conflict:
        return True
    return False


def _held(subject: Subject, *, minor: bool) -> dict[str, Any]:
    """What is held, without a value. Of a minor it is the kinds of identifiers only: the rest is on the page with the values."""
    identifiers = SubjectIdentifier.objects.filter(subject=subject).order_by("kind").values_list("kind", "created_at")
    kinds = [{"kind": IdentifierKind(kind).label, "since": since} for kind, since in identifiers]
    return {"identifiers": kinds} if minor else {"identifiers": kinds, **_done(subject)}


def _done(subject: Subject) -> dict[str, Any]:
    """What they decided, and how many events there are."""
    now, covered = db_now(), coverage(subject.program_id)
    states = list(ConsentState.objects.filter(subject=subject).select_related("purpose").order_by("purpose__code"))
    grants = standing(states, covered, now)
    records = (
        ConsentRecord.objects.filter(subject=subject).defer("evidence", "salt").select_related("purpose", "notice")
    )
    in_force = {record.pk: record for record in records.filter(id__in=[grant.record_id for grant in grants.values()])}
    newest = list(records.order_by("-version", "purpose__code")[: RECORDS + 1])
    consents, guarded = [], []
    for state in states:
        grant = grants[state.purpose_id]
        refusal = grant.refusal(now, grant.told(covered))
        shown = grant.as_told(refusal)
        record = in_force.get(grant.record_id)
        consents.append(
            {
                "purpose": localised(state.purpose.title),
                "state": badge(str(shown.label), CONSENT_STATES.get(shown, "")),
                "stands": refusal is None and state.purpose.active,
                "renewal": refusal == "renewal_required",
                "since": grant.grant_from,
                "until": grant.grant_until,
                **_notice(record),
            }
        )
        if subject.under_14 and grant.state in AUTHORISING:
            guarded.append({"purpose": localised(state.purpose.title), "given": not grant.guardian_pending})
    return {
        "consents": consents,
        "guarded": guarded,
        "records": [_record(record) for record in newest[:RECORDS]],
        "more_records": len(newest) > RECORDS,
        "days": _tallied(subject),
        "counted_days": DAYS,
    }


def _tallied(subject: Subject) -> list[dict[str, Any]]:
    """By day, the newest first: how many in all, and of each type."""
    since = edge.now().astimezone(UTC).date() - timedelta(days=DAYS - 1)
    counted: dict[date, list[tuple[str, int]]] = defaultdict(list)
    for holder in holders():
        for day, name, number in holder.tally(subject=subject, since=since):
            counted[day].append((name, number))
    return [
        {"day": day, "number": sum(number for _name, number in types), "types": sorted(types)}
        for day, types in sorted(counted.items(), reverse=True)
    ]


def _request(asked: SubjectRequest) -> dict[str, Any]:
    return {
        "href": reverse("admin:consent_subjectrequest_change", args=[asked.pk]),
        "kind": asked.get_kind_display(),
        "received_at": asked.received_at,
        "state": badge(asked.get_state_display(), REQUEST_STATES.get(asked.state, "")),
        "standing": deadline(asked, now=edge.now())[1],
    }


def _record(record: ConsentRecord) -> dict[str, Any]:
    return {
        "href": reverse("admin:consent_consentrecord_change", args=[record.pk]),
        "at": record.corrected_at,
        "purpose": localised(record.purpose.title),
        "state": badge(record.get_state_display(), CONSENT_STATES.get(record.state, "")),
        "method": word(record.method) if record.method else "–",
        "act": word(record.act) if record.act else "–",
        "age": word(record.age_band),
        **_notice(record),
    }


def _notice(record: ConsentRecord | None) -> dict[str, Any]:
    """The archived version that the person was shown, at the language they were shown it in."""
    if record is None or record.notice is None:
        return {"notice": None}
    locale = languages.shown(record.locale or "")
    address = reverse("admin:consent_notice_change", args=[record.notice.pk])
    named = f"{record.notice.get_audience_display()} v{record.notice.version} · {LANGUAGES[locale]}"
    return {"notice": named, "notice_href": f"{address}#{locale}"}


def _holder(identifier: str) -> str:
    try:
        return str(holder_of(identifier).title)
    except UnknownHolder:
        return identifier


def _minute(moment: Any) -> str:
    return date_format(localtime(moment), "Y-m-d H:i")
