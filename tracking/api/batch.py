"""POST /v1/batch: what Segment's libraries for servers send, once their host is this service. Answered like POST /events."""

from collections import Counter
from typing import Any
from zoneinfo import ZoneInfo

import msgspec
from django.http import HttpRequest, HttpResponseBase
from drf_spectacular.utils import extend_schema, extend_schema_view

from consent import edge
from consent.api.shapes import Moment, request_body, responses
from consent.errors import Unauthenticated
from consent.programs.authentication import Caller, bearer
from tracking.api.recording import RecordingView, limits
from tracking.segment.actions import Result, record
from tracking.segment.messages import MAX_MESSAGES, Message

_HELP = (
    "send the API key, zq_<key id>_<secret>, as the user name of Basic authentication without a password, or as Bearer"
)


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


@extend_schema_view(
    post=extend_schema(
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
)
class Batch(RecordingView):
    def authenticated(self, authorization: str) -> Caller:
        try:
            return super().authenticated(bearer(authorization))
        except Unauthenticated as error:
            raise Unauthenticated(error.code, _HELP) from error

    def dispatch(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
        response = super().dispatch(request, *args, **kwargs)
        if response.status_code == 401:
            response["WWW-Authenticate"] = 'Basic realm="zhiqing", Bearer'
        return response

    def recorded(self, caller: Caller, body: bytes) -> BatchAnswered:
        results = record(
            vault=edge.vault(),
            program_id=caller.program_id,
            zone=ZoneInfo(caller.zone),
            body=body,
            limits=limits(),
            may_identify="consents" in caller.scopes,
        )
        return _answer(results)


def _answer(results: list[Result]) -> BatchAnswered:
    counts = Counter(item.result for item in results)
    told = [
        MessageResult(item.message_id, item.result)
        if item.refusal is None
        else MessageResult(item.message_id, item.result, item.refusal.code, item.refusal.pointer or None)
        for item in results
    ]
    return BatchAnswered(True, counts["stored"], counts["duplicate"], counts["refused"], counts["retry"], told)
