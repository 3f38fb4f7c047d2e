"""POST /events: the hot path. The view is an APIView for the schema's sake; its dispatch goes straight to the work."""

from typing import Any
from zoneinfo import ZoneInfo

import msgspec
from django.conf import settings
from django.http import HttpRequest, HttpResponse, HttpResponseBase
from drf_spectacular.utils import extend_schema
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from consent import edge
from consent.api.bodies import raw_body
from consent.api.problems import internal_error, of_problem, of_status
from consent.api.shapes import Moment, request_body, responses
from consent.errors import Forbidden, Problem
from consent.programs.authentication import authenticate
from consent.programs.throttling import throttle
from tracking.ingest.actions import Limits, ingest
from tracking.ingest.outcome import Outcome
from tracking.ingest.parse import MAX_EVENTS, SentEvent

MAX_BODY_BYTES = 4 * 1024 * 1024
_encoder = msgspec.json.Encoder()


class EventsSent(msgspec.Struct, forbid_unknown_fields=True):
    """1 to 2,000 events; `sent_at` is the sender's clock at this attempt."""

    events: list[SentEvent]
    sent_at: Moment | None = None
    historical: bool = False


class EventResult(msgspec.Struct, omit_defaults=True):
    event_id: str | None
    result: str
    code: str | None = None
    pointer: str | None = None


class EventsAnswered(msgspec.Struct):
    """One result an event, in order."""

    stored: int
    duplicate: int
    refused: int
    retry: int
    results: list[EventResult]


class Events(APIView):
    scope = "events"

    @extend_schema(
        operation_id="record_events",
        description=f"Record up to {MAX_EVENTS} events. Each is answered by itself; only a problem with the whole body is a 4xx.",
        request=request_body(EventsSent),
        responses=responses(s200=EventsAnswered),
    )
    def post(self, request: Request) -> Response:
        raise NotImplementedError("dispatch answers")

    def dispatch(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
        if request.method != "POST":
            response = of_status(405)
            response["Allow"] = "POST"
            return response
        try:
            return HttpResponse(_encoder.encode(_answer(_recorded(request))), content_type="application/json")
        except Problem as error:
            return of_problem(error)
        except Exception as error:
            return internal_error(error)


def _recorded(request: HttpRequest) -> Outcome:
    caller = authenticate(request.headers.get("Authorization", ""), now=edge.now())
    if Events.scope not in caller.scopes:
        raise Forbidden("insufficient_scope", f"this call needs a key with the scope {Events.scope}")
    outcome = ingest(
        vault=edge.vault(),
        program_id=caller.program_id,
        zone=ZoneInfo(caller.zone),
        body=raw_body(request.META, request, limit=MAX_BODY_BYTES),
        limits=Limits(settings.ZHIQING_LATE, settings.ZHIQING_HISTORICAL),
        may_import="import" in caller.scopes,
    )
    throttle().spend_events(caller.client_id, len(outcome.event_ids))
    return outcome


def _answer(outcome: Outcome) -> EventsAnswered:
    counts = outcome.counts()
    results = []
    for place, event_id in enumerate(outcome.event_ids):
        refusal = outcome.refused.get(place)
        results.append(
            EventResult(event_id, outcome.result(place))
            if refusal is None
            else EventResult(event_id, outcome.result(place), refusal.code, refusal.pointer or None)
        )
    return EventsAnswered(counts["stored"], counts["duplicate"], counts["refused"], counts["retry"], results)
