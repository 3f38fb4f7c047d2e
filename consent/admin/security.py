"""What keeps the officers' pages apart from the rest: a content security policy of their own, and loopback only.

Unfold's Alpine compiles the expressions in its attributes, so these pages need 'unsafe-eval'; its theme and Alpine set
styles inline. Everything else the service answers is data and gets a policy that lets nothing load.
"""

from collections.abc import Callable
from functools import cache
from ipaddress import ip_address

from django.http import Http404, HttpRequest, HttpResponseBase
from django.urls import get_script_prefix, reverse

GetResponse = Callable[[HttpRequest], HttpResponseBase]

ADMIN_POLICY = (
    "default-src 'self'; script-src 'self' 'unsafe-eval'; style-src 'self' 'unsafe-inline'; img-src 'self' data:;"
    " frame-ancestors 'none'; base-uri 'self'; form-action 'self'"
)
POLICY = "default-src 'none'; frame-ancestors 'none'"
# A proxy says for whom it asks in one of these, or in a header that begins with X-Forwarded.
FORWARDED = {"HTTP_FORWARDED", "HTTP_VIA", "HTTP_X_REAL_IP", "HTTP_X_CLIENT_IP"}


@cache
def _root() -> str:
    return "/" + reverse("admin:index").removeprefix(get_script_prefix())


def below_admin(request: HttpRequest) -> bool:
    """Whether the address is one of the officers' pages, /admin without its slash included."""
    return f"{request.path_info.rstrip('/')}/".startswith(_root())


def from_this_machine(request: HttpRequest) -> bool:
    """Whether the caller is on this machine itself, rather than behind a proxy that is."""
    try:
        address = ip_address(request.META.get("REMOTE_ADDR", ""))
    except ValueError:
        return False
    mapped = getattr(address, "ipv4_mapped", None) or address
    proxied = any(name in FORWARDED or name.startswith("HTTP_X_FORWARDED") for name in request.META)
    return bool(mapped.is_loopback) and not proxied


class ContentSecurityPolicy:
    """Says on every answer what a browser may load for it."""

    def __init__(self, get_response: GetResponse) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        response = self.get_response(request)
        officers = below_admin(request)
        response.headers.setdefault("Content-Security-Policy", ADMIN_POLICY if officers else POLICY)
        if officers:
            # Under no-referrer a browser sends `Origin: null` with a form, which the CSRF check has to refuse.
            response.headers.setdefault("Referrer-Policy", "same-origin")
        return response


class LoopbackOnly:
    """The officers' pages ask for a password only, until they ask for a second factor: to others they do not exist."""

    def __init__(self, get_response: GetResponse) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        if below_admin(request) and not from_this_machine(request):
            raise Http404
        return self.get_response(request)
