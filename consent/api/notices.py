"""GET /notices: public, as the law asks (PIPL 17)."""

import re
from typing import Any

from django.http import HttpRequest
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from consent import edge
from consent.api.shapes import responses
from consent.errors import Invalid, NotFound
from consent.notices.models import Audience, Notice
from consent.notices.queries import in_force
from consent.programs.tenancy import tenant, without_tenant

LOCALES = ("zh-Hans", "en")
_SHA256 = re.compile("[0-9a-f]{64}")
_PROGRAM = OpenApiParameter("program", int, required=True, description="The mini-program's id")
_AUDIENCE = OpenApiParameter("audience", str, enum=Audience.values, description="general by default")
_LOCALE = OpenApiParameter("locale", str, enum=list(LOCALES), description="The texts' language; all when left out")


class PublicView(APIView):
    """Open on purpose: a notice is what everybody may read."""

    authentication_classes: list[Any] = []
    permission_classes: list[Any] = []


class CurrentNotice(PublicView):
    @extend_schema(
        operation_id="current_notice",
        parameters=[_PROGRAM, _AUDIENCE, _LOCALE],
        responses=responses(keyed=False, s200=dict[str, Any]),
    )
    def get(self, request: Request) -> Response:
        """The notice in force."""
        program, audience = request.GET.get("program", ""), request.GET.get("audience", "general")
        if not program.isascii() or not program.isdecimal() or len(program) > 9:
            raise Invalid("invalid", "program is the mini-program's id")
        if audience not in Audience.values:
            raise Invalid("invalid", f"audience is one of {', '.join(Audience.values)}")
        locale = _locale(request)
        with tenant(int(program)):
            return Response(_told(in_force(int(program), audience, now=edge.now()), locale))


class NoticeBySha256(PublicView):
    @extend_schema(
        operation_id="notice_by_sha256", parameters=[_LOCALE], responses=responses(keyed=False, s200=dict[str, Any])
    )
    def get(self, request: Request, sha256: str) -> Response:
        """Any version ever published."""
        locale, notice = _locale(request), None
        if _SHA256.fullmatch(sha256):
            with without_tenant():
                notice = Notice.objects.filter(sha256=sha256).first()
        if notice is None:
            raise NotFound("not_found", "no notice was published under this sha256")
        return Response(_told(notice, locale))


def _locale(request: HttpRequest | Request) -> str | None:
    locale = request.GET.get("locale")
    if locale is not None and locale not in LOCALES:
        raise Invalid("invalid", f"locale is one of {', '.join(LOCALES)}")
    return locale


def _told(notice: Notice, locale: str | None) -> dict[str, Any]:
    """The body with its hash; with a locale, each text in that language alone. The hash is of all locales."""
    body = notice.body if locale is None else _in(notice.body, locale)
    return {"sha256": notice.sha256, "published_at": notice.published_at.isoformat(), **body}


def _in(value: Any, locale: str) -> Any:
    if isinstance(value, dict):
        if value and set(value) <= set(LOCALES):
            return value.get(locale)
        return {key: _in(item, locale) for key, item in value.items()}
    if isinstance(value, list):
        return [_in(item, locale) for item in value]
    return value
