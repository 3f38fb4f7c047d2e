"""What the calls that record events have in common: the hot path, past Django REST framework.

A view is an APIView for the schema's sake; its dispatch goes straight to the work.
"""

from collections.abc import Sized
from typing import Any, Protocol

import msgspec
from django.conf import settings
from django.http import HttpRequest, HttpResponse, HttpResponseBase
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from consent import edge
from consent.api.bodies import raw_body
from consent.api.problems import internal_error, of_problem, of_status
from consent.errors import Forbidden, Problem
from consent.programs.authentication import Caller, authenticate
from consent.programs.throttling import throttle
from tracking.ingest.actions import Limits

MAX_BODY_BYTES = 4 * 1024 * 1024
_encoder = msgspec.json.Encoder()


class Answered(Protocol):
    """What is encoded as JSON; `results` has one of each event that was sent."""

    @property
    def results(self) -> Sized: ...


class RecordingView(APIView):
    scope = "events"

    def recorded(self, caller: Caller, body: bytes) -> Answered:
        """Do it. Raises Problem where it is one of the whole body."""
        raise NotImplementedError

    def authenticated(self, authorization: str) -> Caller:
        """Whose call this is, by its header. Raises Unauthenticated, RateLimited."""
        return authenticate(authorization, now=edge.now())

    def post(self, request: Request) -> Response:
        raise NotImplementedError("dispatch answers")

    def dispatch(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
        if request.method != "POST":
            response = of_status(405)
            response["Allow"] = "POST"
            return response
        try:
            return HttpResponse(_encoder.encode(self._answer(request)), content_type="application/json")
        except Problem as error:
            return of_problem(error)
        except Exception as error:
            return internal_error(error)

    def _answer(self, request: HttpRequest) -> Answered:
        caller = self.authenticated(request.headers.get("Authorization", ""))
        if self.scope not in caller.scopes:
            raise Forbidden("insufficient_scope", f"this call needs a key with the scope {self.scope}")
        answer = self.recorded(caller, raw_body(request.META, request, limit=MAX_BODY_BYTES))
        throttle().spend_events(caller.client_id, len(answer.results))
        return answer


def limits() -> Limits:
    return Limits(settings.ZHIQING_LATE, settings.ZHIQING_HISTORICAL)
