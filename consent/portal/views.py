"""The data subject's own pages. Forms and links alone: they work without a script."""

import uuid
from typing import Any

from django.conf import settings
from django.core import signing
from django.http import HttpRequest, HttpResponseBase
from django.shortcuts import redirect
from django.utils import translation
from django.utils.safestring import mark_safe
from django.views.decorators.csrf import csrf_exempt
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from consent import edge
from consent.errors import Invalid, NotFound, Problem
from consent.notices.document import LOCALES
from consent.notices.models import Audience, Notice
from consent.notices.reading import reading
from consent.portal import consents, ranges, requests, sessions
from consent.portal.access import COOKIE, PAGES, begin, leave, page, shown, subjects_page, told
from consent.portal.sessions import Visit
from consent.programs.models import MiniProgram
from consent.programs.tenancy import tenant
from consent.records import profile
from consent.rights import barrier, tasks
from consent.rights.erasure import day_only
from consent.rights.holders import Changes
from consent.rights.languages import language
from consent.rights.models import RequestKind
from consent.rights.page import excerpt
from consent.rights.renditions import TOO_LARGE, Form
from consent.vault import identities
from consent.vault.identities import Vault

SALT = "zhiqing.portal.link"
CORRECTED = ("phone",)
"""Identifiers that a person may put right, after a login of this moment: officers find people by it. What selects a person in a call is the
platform's and the backend's to say, or one could take another's."""
FORMATS = ("json", "csv", "other")
LONGEST = 256
"""What a recipient may be said to take, and how long a name or a contact may be, in characters."""


def signed(link: str) -> str:
    """The link as it stands in an address."""
    return signing.TimestampSigner(salt=SALT).sign(link)


@csrf_exempt  # The link is the secret, and a page without a referrer can prove no origin.
@page
@require_http_methods(["GET", "HEAD", "POST"])
def open_link(request: HttpRequest, link: str) -> HttpResponseBase:
    """Where a link leads: reading it uses nothing, its button begins the session."""
    try:
        secret = signing.TimestampSigner(salt=SALT).unsign(link, max_age=sessions.LINK)
        if request.method == "POST":
            if request.headers.get("Sec-Fetch-Site", "same-origin") not in ("same-origin", "none"):
                # Another site would have somebody act in a session of its own.
                return told(request, "consent/portal/over.html", status=403)
            visit, cookie = sessions.open_link(secret)
            sessions.end_of(request.COOKIES.get(COOKIE, ""))
            response = redirect(f"portal:{visit.view}")
            begin(request, response, cookie)
            return response
        visit = sessions.linked(secret)
    except (signing.BadSignature, sessions.LinkOver):
        return told(request, "consent/portal/over.html", status=404)
    except sessions.NobodyKnown:
        return told(request, "consent/portal/nobody.html")
    with translation.override(language(visit.locale)):
        return told(
            request,
            "consent/portal/link.html",
            program=MiniProgram.objects.select_related("controller").get(id=visit.program_id),
        )


@subjects_page
@require_safe
def home(request: HttpRequest, visit: Visit) -> HttpResponseBase:
    return redirect(f"portal:{visit.view}")


@subjects_page
@require_http_methods(["GET", "HEAD", "POST"])
def my_consents(request: HttpRequest, visit: Visit) -> HttpResponseBase:
    """Each purpose with its switch. A post switches one, or all off."""
    vault = edge.vault()
    found = consents.consents(vault, visit, prompt_cooldown=settings.ZHIQING_PROMPT_COOLDOWN)
    if request.method == "POST":
        _decided(request, vault, visit, found)
        return redirect("portal:consents")
    return shown(request, visit, "consents", "consents", shown=found)


def _decided(request: HttpRequest, vault: Vault, visit: Visit, found: consents.Consents) -> None:
    decision, code = request.POST.get("decision", ""), request.POST.get("purpose", "")
    if decision not in ("given", "withdrawn"):
        raise Invalid("invalid", "a decision is given or withdrawn")
    if request.POST.get("all") and decision == "withdrawn":
        if found.withdrawable:
            consents.withdraw(vault, visit, found.withdrawable)
    elif decision == "withdrawn":
        consents.withdraw(vault, visit, [code])
    else:
        consents.give(vault, visit, _purpose(found, code), notice=request.POST.get("notice"))


def _purpose(found: consents.Consents, code: str) -> consents.PurposeShown:
    purpose = next((purpose for purpose in found.purposes if purpose.code == code), None)
    if purpose is None:
        raise NotFound("not_found", "no notice in force tells of this purpose")
    return purpose


@subjects_page
@require_safe
def one_consent(request: HttpRequest, visit: Visit, code: str) -> HttpResponseBase:
    """All that is told of one purpose, where it is decided on by itself."""
    found = consents.consents(edge.vault(), visit, prompt_cooldown=settings.ZHIQING_PROMPT_COOLDOWN)
    return shown(request, visit, "consent", "consents", shown=found, purpose=_purpose(found, code))


@subjects_page
@require_http_methods(["GET", "HEAD", "POST"])
def my_data(request: HttpRequest, visit: Visit) -> HttpResponseBase:
    """What is held, to read. A post asks to put one thing right."""
    vault = edge.vault()
    if request.method == "POST":
        asked = _correction(request, visit)
        filed = requests.file(
            vault, visit, RequestKind.RECTIFICATION, terms=edge.terms(), on_filed=tasks.hint, changes=asked
        )
        return redirect("portal:request", filed)
    with tenant(visit.program_id):
        subject = consents.of(visit)
        barrier.refuse_opening(subject)
        held = excerpt(vault, subject, visit.locale)
        attributes = sorted(profile.opened(vault, subject))
        kinds = [kind for kind in identities.opened(vault, subject) if kind in CORRECTED and visit.stepped_up]
    # Made by the renderer of packages, which escapes whatever was sent.
    return shown(
        request,
        visit,
        "data",
        "data",
        held=mark_safe(held),  # noqa: S308
        attributes=attributes,
        kinds=kinds,
        longest=profile.LONGEST,
    )


def _correction(request: HttpRequest, visit: Visit) -> Changes:
    """`attribute:<name>` or `identifier:<kind>`, and what is right."""
    which, _, name = request.POST.get("what", "").partition(":")
    value = request.POST.get("value", "").strip()
    if which == "attribute" and name:
        return Changes({name: value or None}, {})
    if which == "identifier" and name in CORRECTED and value:
        requests.require_step_up(visit)
        return Changes({}, {name: value})
    raise Invalid("changes_missing", "say what to change, and to what")


@subjects_page
@require_http_methods(["GET", "HEAD", "POST"])
def my_requests(request: HttpRequest, visit: Visit) -> HttpResponseBase:
    """What was asked; a post asks more."""
    if request.method == "POST":
        kind = request.POST.get("kind", "")
        if kind not in requests.FILED_HERE:
            raise Invalid("invalid", "no request of this kind is filed here")
        filed = requests.file(
            edge.vault(),
            visit,
            kind,
            terms=edge.terms(limited=not visit.stepped_up),
            on_filed=tasks.hint,
            purposes=request.POST.getlist("purpose") if kind == RequestKind.OBJECTION else (),
            recipient=_recipient(request) if kind == RequestKind.PORTABILITY else None,
        )
        return redirect("portal:request", filed)
    found, more = requests.requests(visit)
    return shown(request, visit, "requests", "requests", found=found, more=more)


def _recipient(request: HttpRequest) -> dict[str, Any] | None:
    """To whom a transfer goes and what they take; None: to the person. The same lengths as by API."""
    name, contact = (request.POST.get(field, "").strip() for field in ("recipient", "contact"))
    formats = request.POST.getlist("format")
    if not name:
        if contact or formats:
            raise Invalid("recipient_missing", "say who is to receive it")
        return None
    if not set(formats) <= set(FORMATS) or max(len(name), len(contact)) > LONGEST:
        raise Invalid(
            "invalid", f"a name or a contact has {LONGEST} characters at most, a form is one of those offered"
        )
    return {"name": name} | ({"contact": contact} if contact else {}) | ({"formats": formats} if formats else {})


@subjects_page
@require_safe
def new_request(request: HttpRequest, visit: Visit, kind: str) -> HttpResponseBase:
    """What comes of a request, before it is filed."""
    if kind not in requests.FILED_HERE:
        raise NotFound("not_found", "no request of this kind is filed here")
    about: dict[str, Any] = {"kind": RequestKind(kind), "comes": requests.FILED_HERE[kind]}
    if kind == RequestKind.OBJECTION:
        found = consents.consents(edge.vault(), visit, prompt_cooldown=settings.ZHIQING_PROMPT_COOLDOWN)
        about["purposes"] = found.purposes
    return shown(request, visit, "ask", "requests", **about)


@subjects_page
@require_safe
def one_request(request: HttpRequest, visit: Visit, request_id: uuid.UUID) -> HttpResponseBase:
    found = requests.request_shown(edge.vault(), visit, request_id)
    return shown(
        request, visit, "request", "requests", shown=found, all_forms=len(found.forms) == len(Form), too_large=TOO_LARGE
    )


@subjects_page
@require_POST
def take_back(request: HttpRequest, visit: Visit, request_id: uuid.UUID) -> HttpResponseBase:
    requests.take_back(visit, request_id)
    return redirect("portal:request", request_id)


@subjects_page
@require_POST
def waive_undo(request: HttpRequest, visit: Visit, request_id: uuid.UUID) -> HttpResponseBase:
    """An erasure at once, for whoever logged in a moment ago."""
    requests.waive_undo(visit, request_id, on_waived=tasks.hint)
    # The session goes with its subject.
    return redirect("portal:claim", request_id)


@subjects_page
@require_safe
def download(request: HttpRequest, visit: Visit, request_id: uuid.UUID, form: str) -> HttpResponseBase:
    """The package, for whoever logged in a moment ago; the document also from one byte to another."""
    if form not in Form.values:
        raise NotFound("not_found", "a package is read as page, json or csv")
    wanted, read = ranges.wanted(request), request.method == "GET"
    try:
        handed = requests.package(edge.vault(), visit, request_id, Form(form), wanted=wanted, read=read)
    except ranges.RangeBeyond as problem:
        return ranges.beyond(problem)
    response = edge.attachment(handed.pieces if read else iter(()), request_id, Form(form))
    ranges.say(response, handed.part)
    return response


@subjects_page
@require_safe
def notices(request: HttpRequest, visit: Visit) -> HttpResponseBase:
    """Every version that was ever in force, the newest first."""
    with tenant(visit.program_id):
        audience = Audience.MINOR if consents.of(visit).under_14 else Audience.GENERAL
        versions = Notice.objects.filter(
            program_id=visit.program_id, audience=audience, effective_at__lte=edge.now()
        ).order_by("-version")
        found = list(versions.values("version", "sha256", "effective_at"))
    return shown(request, visit, "notices", "notices", found=found)


@subjects_page
@require_safe
def one_notice(request: HttpRequest, visit: Visit, sha256: str) -> HttpResponseBase:
    with tenant(visit.program_id):
        found = Notice.objects.filter(program_id=visit.program_id, sha256=sha256, effective_at__lte=edge.now()).first()
    if found is None:
        raise NotFound("not_found", "no notice was published under this sha256")
    told_of = reading(found.body, consents.locale(visit))
    return shown(request, visit, "notice", "notices", notice=found, told=told_of)


@subjects_page
@require_POST
def speak(request: HttpRequest, visit: Visit) -> HttpResponseBase:
    """Another language from now on; back to the page, which the form names."""
    locale, back = request.POST.get("locale", ""), request.POST.get("back", "")
    if locale not in LOCALES:
        raise Invalid("invalid", f"a language is one of {', '.join(LOCALES)}")
    sessions.speak(visit, locale)
    return redirect(f"portal:{back if back in PAGES else 'home'}")


@subjects_page
@require_POST
def end(request: HttpRequest, visit: Visit) -> HttpResponseBase:
    sessions.end(visit)
    response = told(request, "consent/portal/over.html")
    leave(response)
    return response


@page
@require_safe
def claim(request: HttpRequest, request_id: uuid.UUID) -> HttpResponseBase:
    """How a request stands, for whoever has its id: kind, state and days, and nothing of whom it is about."""
    try:
        found = requests.stands(request_id)
    except Problem as problem:
        return told(request, "consent/portal/refused.html", status=problem.status, problem=problem)
    # Once its subject is erased, all its times are UTC days.
    zone = "UTC" if day_only(found.received_at) else found.program.zone
    with translation.override(language(found.locale)):
        return told(request, "consent/portal/claim.html", zone=zone, asked=found)
