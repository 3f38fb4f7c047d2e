"""POST /portal-sessions: a link to the data subject's own pages."""

from datetime import datetime
from typing import Annotated, Literal

import msgspec
from django.urls import reverse
from drf_spectacular.utils import extend_schema
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from consent import edge
from consent.api.bodies import body
from consent.api.shapes import SubjectNamed, request_body, responses
from consent.platforms import credentials
from consent.platforms.exchange import exchange
from consent.portal import sessions
from consent.portal.views import signed
from consent.programs.authentication import caller
from consent.vault import identities


class LinkAsked(msgspec.Struct, forbid_unknown_fields=True, omit_defaults=True):
    """Whose pages, in which language, and which of them first. `login_code`: of `wx.login` or `my.getAuthCode`, a moment old: Zhiqing
    exchanges it with the platform, and packages can be fetched in the session."""

    subject: SubjectNamed
    locale: Annotated[str, msgspec.Meta(pattern="^[A-Za-z]{2,8}(-[A-Za-z0-9]{1,8}){0,3}$")]
    login_code: Annotated[str, msgspec.Meta(min_length=1, max_length=256)] | None = None
    view: Literal["consents", "data", "requests"] = "consents"


class LinkMade(msgspec.Struct):
    """An address to open in the mini-program's web-view before it expires."""

    url: str
    expires_at: datetime


class PortalSessions(APIView):
    scope = "portal"

    @extend_schema(operation_id="portal_session", request=request_body(LinkAsked), responses=responses(s201=LinkMade))
    def post(self, request: Request) -> Response:
        """A link of five minutes to the subject's own pages; it opens them once. One of a subject nobody knows looks the same."""
        asked = body(request, LinkAsked)
        identities.checked(asked.subject.identifiers())
        identity = None
        if asked.login_code is not None:
            addresses = edge.platform_addresses()
            held = credentials.held(vault=edge.vault(), program_id=caller(request).program_id, addresses=addresses)
            identity = exchange(credentials=held, code=asked.login_code, now=edge.now())
        issued = sessions.issue(
            vault=edge.vault(),
            program_id=caller(request).program_id,
            identifiers=asked.subject.identifiers(),
            client_id=caller(request).client_id,
            locale=asked.locale,
            view=asked.view,
            identity=identity,
        )
        address = reverse("portal:open", args=[signed(issued.link)])
        return Response(LinkMade(edge.public_url(request, address), issued.expires_at), status=201)
