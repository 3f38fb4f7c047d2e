"""From the body of POST /events to events, each decoded by itself: one that cannot be read is one refusal."""

import re
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Annotated, Any

import msgspec

from consent.api.bodies import checked as checked_json
from consent.api.bodies import described, names_of_objects
from consent.api.shapes import Moment, SubjectNamed
from consent.errors import Fault, Invalid, Malformed, Problem
from consent.vault.identities import checked

MAX_EVENTS = 2000
MAX_SKEW = timedelta(hours=24)
"""How far a sender's clock may be off, so that a report knows in which partitions a local day's events can lie."""

Scene = Annotated[str, msgspec.Meta(min_length=1, max_length=32)] | Annotated[int, msgspec.Meta(ge=0, le=999_999)]
Short = Annotated[str, msgspec.Meta(min_length=1, max_length=64)]


class Envelope(msgspec.Struct, forbid_unknown_fields=True):
    """1 to 2,000 events. `sent_at`: the sender's clock at this attempt, for events without one of their own."""

    events: Annotated[list[msgspec.Raw], msgspec.Meta(min_length=1, max_length=MAX_EVENTS)]
    sent_at: Moment | None = None
    historical: bool | None = None


class SentEvent(msgspec.Struct, forbid_unknown_fields=True):
    """One event as it is sent."""

    event_id: Short
    name: Short
    subject: SubjectNamed
    occurred_at: Moment
    sent_at: Moment | None = None
    session_id: Short | None = None
    page: Annotated[str, msgspec.Meta(min_length=1, max_length=512)] | None = None
    dwell_ms: Annotated[int, msgspec.Meta(ge=0, le=86_400_000)] | None = None
    scene: Scene | None = None
    context: dict[str, Any] | None = None
    properties: dict[str, Any] | None = None


class _Identified(msgspec.Struct):
    event_id: Short


@dataclass(slots=True)
class Refusal:
    """Why an event is not stored (`retry`: not now); the pointer goes into the body as sent."""

    code: str
    pointer: str = ""


@dataclass(slots=True)
class Read:
    """An event that can be read. `named`: the subject's identifiers, normalised."""

    place: int
    sent: SentEvent
    named: tuple[tuple[str, str], ...]


@dataclass(slots=True)
class Candidate(Read):
    """One whose times lie within the bounds: its UTC date as sent, and its time corrected for the sender's clock."""

    day: date
    corrected_at: datetime


@dataclass(slots=True)
class Batch:
    """Either a candidate or a refusal at each place. `event_ids`, `read` by place: None where that much cannot be read."""

    event_ids: list[str | None]
    read: list[Read | None]
    candidates: list[Candidate]
    refused: dict[int, Refusal]
    historical: bool


_events = msgspec.json.Decoder(SentEvent)
_ids = msgspec.json.Decoder(_Identified)


_SPACED_NAME = re.compile(rb'"\s+:')


def parse_batch(data: bytes, *, received_at: datetime, late: timedelta, historical: timedelta) -> Batch:
    """Raises Malformed, Invalid for the envelope as a whole. `late`, `historical`: how old an event may be."""
    envelope = _envelope(data)
    reader = _Reader(data, envelope, received_at, received_at - (historical if envelope.historical else late))
    batch = Batch([], [], [], {}, bool(envelope.historical))
    for place, raw in enumerate(envelope.events):
        read = reader.event(place, bytes(raw))
        found = read if isinstance(read, Refusal) else reader.timed(read)
        batch.read.append(None if isinstance(read, Refusal) else read)
        if isinstance(found, Refusal):
            batch.event_ids.append(_event_id(raw))
            batch.refused[place] = found
        else:
            batch.event_ids.append(found.sent.event_id)
            batch.candidates.append(found)
    reader.check_envelope()
    return batch


def _envelope(data: bytes) -> Envelope:
    try:
        return msgspec.json.decode(data, type=Envelope)
    except msgspec.ValidationError as error:
        detail, pointer = described(error)
        raise Invalid("invalid", detail, [Fault("invalid", detail, pointer)]) from None
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        raise Malformed("malformed", "the body is not JSON in UTF-8") from None


class _Reader:
    """Reads the events of one body.

    msgspec lets NUL and names given twice pass. NUL is looked for in the whole body. A name is followed by `":`, so an
    object with as many of these as it has names gives none twice; one with more (an escaped quote in a text, a null, a
    doubled name) is read again by a parser that sees every name, and so is everything where white space parts a name
    from its colon.
    """

    def __init__(self, data: bytes, envelope: Envelope, received_at: datetime, oldest: datetime) -> None:
        self._data = data
        self._envelope = envelope
        self._received_at = received_at
        self._oldest = oldest
        self._suspect = b"\\u0000" in data or _SPACED_NAME.search(data) is not None
        self._names = 0

    def event(self, place: int, raw: bytes) -> Read | Refusal:
        pointer = f"/events/{place}"
        names = raw.count(b'":')
        self._names += names
        try:
            sent = _events.decode(raw)
            if self._suspect or names != _names(sent):
                checked_json(raw, sent)
            named = tuple(checked(sent.subject.identifiers()).items())
        except Problem as error:
            return Refusal("invalid_event", pointer + (error.errors[0].pointer if error.errors else ""))
        except msgspec.ValidationError as error:
            return Refusal("invalid_event", pointer + described(error)[1])
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            return Refusal("invalid_event", pointer)
        if not sent.event_id.isprintable():
            return Refusal("invalid_event", f"{pointer}/event_id")
        return Read(place, sent, named)

    def timed(self, read: Read) -> Candidate | Refusal:
        """The bounds of its own time, and that time corrected for the sender's clock."""
        try:
            return self._timed(read)
        except OverflowError:
            # At either end of the calendar: a time that is none in UTC, or once it is corrected.
            return Refusal("invalid_event", f"/events/{read.place}/occurred_at")

    def check_envelope(self) -> None:
        """The same for the envelope's own names. Raises Malformed."""
        own = 1 + (self._envelope.sent_at is not None) + (self._envelope.historical is not None)
        if self._suspect or self._data.count(b'":') - self._names != own:
            names = names_of_objects(self._data)[-1]
            if len(set(names)) != len(names):
                raise Malformed("malformed", "the body repeats a name in an object")

    def _timed(self, read: Read) -> Candidate | Refusal:
        place, sent = read.place, read.sent
        pointer = f"/events/{place}/occurred_at"
        clock = sent.sent_at or self._envelope.sent_at
        occurred = sent.occurred_at.astimezone(UTC)
        skew = self._received_at - clock if clock is not None else timedelta(0)
        if abs(skew) > MAX_SKEW:
            return Refusal("invalid_event", f"/events/{place}/sent_at" if sent.sent_at else "/sent_at")
        if occurred > self._received_at + MAX_SKEW:
            return Refusal("in_the_future", pointer)
        corrected = occurred + skew
        if min(occurred, corrected) < self._oldest:
            return Refusal("too_old", pointer)
        return Candidate(place, sent, read.named, occurred.date(), corrected)


def _names(sent: SentEvent) -> int:
    """How many names an event's objects have, with none given twice and none null."""
    subject = sent.subject
    return (
        4
        + (sent.sent_at is not None)
        + (sent.session_id is not None)
        + (sent.page is not None)
        + (sent.dwell_ms is not None)
        + (sent.scene is not None)
        + (0 if sent.context is None else 1 + len(sent.context))
        + (0 if sent.properties is None else 1 + len(sent.properties))
        + (subject.openid is not None)
        + (subject.unionid is not None)
        + (subject.external_id is not None)
        + (subject.subject_id is not None)
    )


def _event_id(raw: msgspec.Raw) -> str | None:
    """The id of an event that cannot be read otherwise, so that its sender knows which it was."""
    try:
        found = _ids.decode(raw).event_id
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None
    return found if found.isprintable() else None
