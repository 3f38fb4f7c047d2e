"""What all pages of the portal share: whose they are, their language, what a browser may load, and how a refusal is told.

The cookie is sent to these pages alone, and never from another site's. Under `no-referrer`, which the link's own page has, a
browser sends `Origin: null` with a form, which the CSRF check has to refuse: pages of a session have `same-origin`.
"""

from collections.abc import Callable
from functools import wraps
from typing import Any, Concatenate, ParamSpec
from zoneinfo import ZoneInfo

from django.conf import settings
from django.http import HttpRequest, HttpResponse, HttpResponseBase
from django.middleware.csrf import rotate_token
from django.shortcuts import render
from django.urls import get_script_prefix, reverse
from django.utils import timezone, translation
from django.views import csrf
from django.views.decorators.cache import never_cache

from consent.errors import Invalid, Problem
from consent.portal import sessions
from consent.portal.sessions import Visit
from consent.programs.models import MiniProgram
from consent.rights.languages import language
from consent.vault.models import DataKey

COOKIE = "zhiqing_portal"
PAGES = ("consents", "data", "requests", "notices")
POLICY = (
    "default-src 'none'; style-src 'self'; img-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)
_P = ParamSpec("_P")
Page = Callable[Concatenate[HttpRequest, _P], HttpResponseBase]
SubjectsPage = Callable[Concatenate[HttpRequest, Visit, _P], HttpResponseBase]


def page(view: Page[_P]) -> Page[_P]:
    """A page for everybody, in the browser's language unless it says otherwise; of which nothing is kept."""

    @wraps(view)
    def closed(request: HttpRequest, /, *args: _P.args, **kwargs: _P.kwargs) -> HttpResponseBase:
        response = view(request, *args, **kwargs)
        response.headers["Content-Security-Policy"] = POLICY
        response.headers["X-Robots-Tag"] = "noindex"
        return response

    return never_cache(closed)


def subjects_page(view: SubjectsPage[_P]) -> Page[_P]:
    """A page of the data subject whose session the cookie opens; without one it says where a session begins."""

    @wraps(view)
    def opened(request: HttpRequest, /, *args: _P.args, **kwargs: _P.kwargs) -> HttpResponseBase:
        try:
            visit = sessions.visiting(request.COOKIES.get(COOKIE, ""))
        except sessions.SessionOver:
            return told(request, "consent/portal/over.html", status=403)
        with translation.override(language(visit.locale)):
            try:
                _refuse_nul(request)
                response = view(request, visit, *args, **kwargs)
            except DataKey.DoesNotExist:
                # An erasure has ended meanwhile.
                response = told(request, "consent/portal/over.html", status=403)
            except Problem as problem:
                response = shown(request, visit, "refused", "", status=problem.status, problem=problem)
                if problem.retry_after is not None:
                    response.headers["Retry-After"] = str(problem.retry_after)
        response.headers["Referrer-Policy"] = "same-origin"
        return response

    return page(opened)


def _refuse_nul(request: HttpRequest) -> None:
    """PostgreSQL takes no NUL, as a value or to look for. Raises Invalid."""
    if any("\0" in value for _, values in request.POST.lists() for value in values):
        raise Invalid("invalid", "fields may not hold NUL characters")


def shown(
    request: HttpRequest, visit: Visit, template: str, current: str, *, status: int = 200, **context: Any
) -> HttpResponse:
    """A page of a session, with its ways to the others; `current`: which of them it belongs to."""
    program = MiniProgram.objects.select_related("controller").get(id=visit.program_id)
    pages = [(name, reverse(f"portal:{name}")) for name in PAGES]
    about: dict[str, Any] = {"visit": visit, "program": program, "current": current, "pages": pages}
    return told(request, f"consent/portal/{template}.html", zone=program.zone, status=status, **about, **context)


def told(request: HttpRequest, template: str, *, zone: str = "UTC", status: int = 200, **context: Any) -> HttpResponse:
    """`zone`: the mini-program's, in which days and times are told; days of the law are reckoned in it."""
    with timezone.override(ZoneInfo(zone)):
        return render(request, template, {"zone": zone, **context}, status=status)


def below_portal(request: HttpRequest) -> bool:
    """Whether the address is one of the data subjects' pages."""
    return request.path_info.startswith(reverse("portal:home").removeprefix(get_script_prefix().rstrip("/")))


def csrf_failure(request: HttpRequest, reason: str = "") -> HttpResponseBase:
    """A form without its token: of another site, of a session before, or of a page whose cookies the browser dropped."""
    if below_portal(request):
        return page(lambda asked: told(asked, "consent/portal/over.html", status=403))(request)
    return csrf.csrf_failure(request, reason)


def begin(request: HttpRequest, response: HttpResponseBase, cookie: str) -> None:
    """Hand the browser its session. A page of the one before, still open there, acts on nobody: its forms' token is void."""
    rotate_token(request)
    response.set_cookie(
        COOKIE,
        cookie,
        max_age=sessions.SESSION,
        path=reverse("portal:home"),
        secure=settings.SESSION_COOKIE_SECURE,
        httponly=True,
        samesite="Strict",
    )


def leave(response: HttpResponseBase) -> None:
    response.delete_cookie(COOKIE, path=reverse("portal:home"), samesite="Strict")
