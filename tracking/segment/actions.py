"""Recording a batch of Segment's messages: who is identified first, so that the batch's events find them; then the events."""

from collections.abc import Iterator
from dataclasses import dataclass
from zoneinfo import ZoneInfo

import msgspec

from consent.errors import Invalid, Problem, Unavailable
from consent.records.profile import identify
from consent.vault.identities import Vault
from tracking.ingest.actions import Limits, ingest
from tracking.ingest.outcome import Outcome
from tracking.ingest.parse import MAX_EVENTS, Refusal
from tracking.segment.messages import MAX_IDENTIFICATIONS, Batch, Identification, Mapped, parse

_TOLD = {
    "/event_id": "/messageId",
    "/occurred_at": "/timestamp",
    "/sent_at": "/sentAt",
    "/subject": "/userId",
    "/subject/external_id": "/userId",
    "/subject/openid": "/anonymousId",
    "/context/os": "/context/os/name",
    "/context/app_version": "/context/app/version",
    "/context/channel": "/context/campaign/source",
}
"""Where a message tells what ours has at a place, as the ends of JSON pointers."""


@dataclass(frozen=True)
class Result:
    """What became of a message: stored, duplicate, or refused for a reason."""

    message_id: str | None
    result: str
    refusal: Refusal | None = None


def record(
    *, vault: Vault, program_id: int, zone: ZoneInfo, body: bytes, limits: Limits, may_identify: bool
) -> list[Result]:
    """Store what is authorised; answers one result a message, in order.

    Raises Malformed, Invalid (the body as a whole); Unavailable where a message was not decided on. Segment's libraries
    send all of a batch again or nothing of it, and what was stored of it is then a duplicate.
    """
    batch = parse(body)
    if len(batch.identifications) > MAX_IDENTIFICATIONS:
        raise Invalid("too_many_identifications", f"a batch may identify {MAX_IDENTIFICATIONS} times at most")
    results = {place: Result(batch.message_ids[place], "refused", found) for place, found in batch.refused.items()}
    for place, found in batch.identifications.items():
        refusal = (
            _identified(vault, program_id, place, found)
            if may_identify
            else Refusal("insufficient_scope", f"/batch/{place}/type")
        )
        results[place] = Result(batch.message_ids[place], "refused" if refusal else "stored", refusal)
    undecided = 0
    for places in _chunks(batch):
        sent = _body(batch, places)
        outcome = ingest(vault=vault, program_id=program_id, zone=zone, body=sent, limits=limits, may_import=False)
        undecided += outcome.results().count("retry")
        results |= _results(batch, places, outcome)
    if undecided:
        raise Unavailable("busy", "send the same batch again: what is stored of it counts once", retry_after=1)
    return [results[place] for place in range(len(batch.message_ids))]


def _identified(vault: Vault, program_id: int, place: int, found: Identification) -> Refusal | None:
    """Raises Unavailable where it may succeed soon."""
    try:
        identify(vault=vault, program_id=program_id, identifiers=found.identifiers, attributes=found.attributes)
    except Problem as error:
        if error.retry_after is not None:
            raise Unavailable(error.code, error.detail, retry_after=error.retry_after) from None
        at = error.errors[0].pointer if error.errors else ""
        at = _TOLD.get(at, at.replace("/attributes", "/traits", 1))
        return Refusal(error.code, f"/batch/{place}{at}" if at else "")
    return None


def _chunks(batch: Batch) -> Iterator[list[int]]:
    """The places of the events, as many at a time as one transaction takes."""
    places = sorted(batch.events.keys() | batch.unreadable)
    for first in range(0, len(places), MAX_EVENTS):
        yield places[first : first + MAX_EVENTS]


def _body(batch: Batch, places: list[int]) -> bytes:
    """As POST /events takes it. Events that cannot be read go along as nulls: they are refused, and so are counted."""
    events = [batch.events[place].event if place in batch.events else None for place in places]
    clock = {} if batch.sent_at is None else {"sent_at": batch.sent_at}
    return msgspec.json.encode({"events": events, **clock})


def _results(batch: Batch, places: list[int], outcome: Outcome) -> Iterator[tuple[int, Result]]:
    """By the messages' places, of the events that could be read."""
    for number, (place, result) in enumerate(zip(places, outcome.results(), strict=True)):
        if place not in batch.events:
            continue
        refusal = outcome.refused.get(number)
        if refusal is not None:
            refusal = Refusal(refusal.code, _pointer(place, batch.events[place], number, refusal.pointer))
        yield place, Result(batch.message_ids[place], result, refusal)


def _pointer(place: int, mapped: Mapped, number: int, pointer: str) -> str:
    """From a place in the body as ingest had it to the place in the body as sent."""
    within = pointer.removeprefix(f"/events/{number}")
    if within == pointer:
        # Nowhere, or at the sender's clock, which stands beside the events.
        return _TOLD.get(pointer, "")
    return f"/batch/{place}{mapped.told.get(within) or _TOLD.get(within, within)}"
