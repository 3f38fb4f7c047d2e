"""POST /v1/batch: what Segment's libraries for servers send, once their host is this service. Answered like POST /events."""

from collections import Counter
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
from consent.errors import Forbidden, Problem, Unauthenticated
from consent.programs.authentication import authenticate, bearer
from consent.programs.throttling import throttle
from tracking.ingest.actions import Limits
from tracking.segment.actions import Result, record
from tracking.segment.messages import MAX_MESSAGES, Message

MAX_BODY_BYTES = 4 * 1024 * 1024
_HELP = (
    "send the API key, zq_<key id>_<secret>, as the user name of Basic authentication without a password, or as Bearer"
)
_encoder = msgspec.json.Encoder()


class BatchSent(msgspec.Struct, rename="camel"):
    """1 to 2,500 messages; `sentAt` is the sender's clock at this attempt. Other members, such as `writeKey`, are dropped."""

    batch: list[Message]
    sent_at: Moment | None = None


class MessageResult(msgspec.Struct, omit_defaults=True):
    message_id: str | None
    result: str
    code: str | None = None
    pointer: str | None = None


class BatchAnswered(msgspec.Struct):
    """One result a message, in order; `stored` counts identifications too, `retry` is 0: such a batch is a 503."""

    success: bool
    stored: int
    duplicate: int
    refused: int
    retry: int
    results: list[MessageResult]


class Batch(APIView):
    scope = "events"

    @extend_schema(
        operation_id="record_batch",
        description=(
            f"Record up to {MAX_MESSAGES} messages in the shape of Segment's HTTP tracking API, of type track, page,"
            " screen or identify (which needs the scope consents too). Each is answered by itself; where one cannot be"
            " decided on now the answer is 503, and the whole batch may be sent again."
        ),
        request=request_body(BatchSent),
        responses=responses(s200=BatchAnswered),
        auth=[{"writeKey": []}, {"apiKey": []}],  # type: ignore[list-item]  # security requirements; its hint says names
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
        except Unauthenticated as error:
            response = of_problem(Unauthenticated(error.code, _HELP))
            response["WWW-Authenticate"] = 'Basic realm="zhiqing", Bearer'
            return response
        except Problem as error:
            return of_problem(error)
        except Exception as error:
            return internal_error(error)


def _recorded(request: HttpRequest) -> list[Result]:
    caller = authenticate(bearer(request.headers.get("Authorization", "")), now=edge.now())
    if Batch.scope not in caller.scopes:
        raise Forbidden("insufficient_scope", f"this call needs a key with the scope {Batch.scope}")
    results = record(
        vault=edge.vault(),
        program_id=caller.program_id,
        zone=ZoneInfo(caller.zone),
        body=raw_body(request.META, request, limit=MAX_BODY_BYTES),
        limits=Limits(settings.ZHIQING_LATE, settings.ZHIQING_HISTORICAL),
        may_identify="consents" in caller.scopes,
    )
    throttle().spend_events(caller.client_id, len(results))
    return results


def _answer(results: list[Result]) -> BatchAnswered:
    counts = Counter(item.result for item in results)
    told = [
        MessageResult(item.message_id, item.result)
        if item.refusal is None
        else MessageResult(item.message_id, item.result, item.refusal.code, item.refusal.pointer or None)
        for item in results
    ]
    return BatchAnswered(True, counts["stored"], counts["duplicate"], counts["refused"], counts["retry"], told)
