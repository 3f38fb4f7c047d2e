"""What keeps the officers' pages apart from the rest: a content security policy of their own.

Unfold's Alpine compiles the expressions in its attributes, so these pages need 'unsafe-eval'; its theme and Alpine set
styles inline. Everything else the service answers is data and gets a policy that lets nothing load.
"""

from collections.abc import Callable
from functools import cache

from django.http import HttpRequest, HttpResponseBase
from django.urls import get_script_prefix, reverse

GetResponse = Callable[[HttpRequest], HttpResponseBase]

ADMIN_POLICY = (
    "default-src 'self'; script-src 'self' 'unsafe-eval'; style-src 'self' 'unsafe-inline'; img-src 'self' data:;"
    " frame-ancestors 'none'; base-uri 'self'; form-action 'self'"
)
POLICY = "default-src 'none'; frame-ancestors 'none'"


@cache
def _root() -> str:
    return "/" + reverse("admin:index").removeprefix(get_script_prefix())


def below_admin(request: HttpRequest) -> bool:
    """Whether the address is one of the officers' pages, /admin without its slash included."""
    return f"{request.path_info.rstrip('/')}/".startswith(_root())


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
