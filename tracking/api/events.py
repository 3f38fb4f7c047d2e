"""POST /events."""

from collections import Counter
from zoneinfo import ZoneInfo

import msgspec
from drf_spectacular.utils import extend_schema, extend_schema_view

from consent import edge
from consent.api.shapes import Moment, request_body, responses
from consent.programs.authentication import Caller
from tracking.api.recording import RecordingView, limits
from tracking.ingest.actions import ingest
from tracking.ingest.outcome import Outcome
from tracking.ingest.parse import MAX_EVENTS, SentEvent


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


@extend_schema_view(
    post=extend_schema(
        operation_id="record_events",
        description=f"Record up to {MAX_EVENTS} events. Each is answered by itself; only a problem with the whole body is a 4xx.",
        request=request_body(EventsSent),
        responses=responses(s200=EventsAnswered),
    )
)
class Events(RecordingView):
    def recorded(self, caller: Caller, body: bytes) -> EventsAnswered:
        outcome = ingest(
            vault=edge.vault(),
            program_id=caller.program_id,
            zone=ZoneInfo(caller.zone),
            body=body,
            limits=limits(),
            may_import="import" in caller.scopes,
        )
        return _answer(outcome)


def _answer(outcome: Outcome) -> EventsAnswered:
    results = [EventResult(*told) for told in zip(outcome.event_ids, outcome.results(), strict=True)]
    for place, refusal in outcome.refused.items():
        results[place].code, results[place].pointer = refusal.code, refusal.pointer or None
    counts = Counter([answered.result for answered in results])
    return EventsAnswered(counts["stored"], counts["duplicate"], counts["refused"], counts["retry"], results)
