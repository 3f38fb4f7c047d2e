"""From the body of POST /events to events, each decoded by itself: one that cannot be read is one refusal."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Annotated, Any, cast

import msgspec

from consent.api.bodies import checked as checked_json
from consent.api.bodies import described, names_of_objects
from consent.api.shapes import Moment, SubjectNamed
from consent.errors import Fault, Invalid, Malformed, Problem
from consent.vault.identities import checked

MAX_EVENTS = 2000
_NO_SKEW = timedelta(0)
_NOT_NAMED = (None, None, None)
MAX_SKEW = timedelta(hours=24)
"""How far a sender's clock may be off, so that a report knows in which partitions a local day's events can lie."""

Scene = Annotated[str, msgspec.Meta(min_length=1, max_length=32)] | Annotated[int, msgspec.Meta(ge=0, le=999_999)]
Short = Annotated[str, msgspec.Meta(min_length=1, max_length=64)]


class Envelope(msgspec.Struct, forbid_unknown_fields=True, omit_defaults=True):
    """1 to 2,000 events. `sent_at`: the sender's clock at this attempt, for events without one of their own."""

    events: Annotated[list[msgspec.Raw], msgspec.Meta(min_length=1, max_length=MAX_EVENTS)]
    sent_at: Moment | None = None
    historical: bool | None = None


class SentEvent(msgspec.Struct, forbid_unknown_fields=True, omit_defaults=True, gc=False):
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


class _CleanEvent(SentEvent, forbid_unknown_fields=True, omit_defaults=True, gc=False):
    """One event whose objects are left as they stand in the body: many events of a batch say the same."""

    context: msgspec.Raw = msgspec.Raw()  # type: ignore[assignment]  # read once for all that say the same
    properties: msgspec.Raw = msgspec.Raw()  # type: ignore[assignment]


class _Clean(Envelope, forbid_unknown_fields=True, omit_defaults=True):
    """A body in which every event can be read."""

    events: Annotated[list[_CleanEvent], msgspec.Meta(min_length=1, max_length=MAX_EVENTS)]  # type: ignore[assignment]  # its texts are read at once


class _Identified(msgspec.Struct):
    event_id: Short


@dataclass(slots=True)
class Refusal:
    """Why an event is not stored (`retry`: not now); the pointer goes into the body as sent."""

    code: str
    pointer: str = ""


Named = tuple[tuple[str, str], ...]
"""(kind, value) of the identifiers that name a subject, normalised."""


@dataclass(slots=True, eq=False)
class Said:
    """An event's context or properties. Events of a batch that say the same share one, so what follows is found once."""

    values: dict[str, Any]
    packed: bytes | None = None
    """As a field of COPY, once it was written."""


NOTHING = Said({})


class Read(msgspec.Struct, eq=False, gc=False):
    """An event that can be read. What it says is in `context` and `properties`: `sent` may hold these unread."""

    place: int
    sent: SentEvent
    named: Named
    context: Said
    properties: Said


@dataclass(slots=True)
class Batch:
    """Either an event read or a refusal at each place. `event_ids`, `read` by place: None where that cannot be read."""

    event_ids: list[str | None]
    read: list[Read | None]
    refused: dict[int, Refusal]
    sent_at: datetime | None
    historical: bool


_clean = msgspec.json.Decoder(_Clean)
_encoder = msgspec.json.Encoder()
_events = msgspec.json.Decoder(SentEvent)
# msgspec keeps names that it has seen, for the whole process, but of a type that is bounded.
_objects = msgspec.json.Decoder(dict[Annotated[str, msgspec.Meta(max_length=4096)], Any])
_ids = msgspec.json.Decoder(_Identified)
_NAME = b'":'
_SPACED_NAME = re.compile(rb'"\s+:')
_SPACES = (b" ", b"\t", b"\n", b"\r")


def parse_batch(data: bytes) -> Batch:
    """Raises Malformed, Invalid for the envelope as a whole."""
    return _parse_clean(data) or _parse_each(data)


def _has_spaced_name(data: bytes) -> bool:
    """Whether white space stands between a name and its colon. The quicker the look, the earlier it is taken."""
    return any(space in data and space + b":" in data for space in _SPACES) and _SPACED_NAME.search(data) is not None


class _SaidBySent(dict[bytes, Said]):
    """What the objects of a body say, each distinct one read once.

    Raises KeyError where one has to be looked at by itself, and msgspec's own errors.
    """

    def __missing__(self, sent: bytes) -> Said:
        values = _objects.decode(sent)
        if sent.count(_NAME) != len(values):
            raise KeyError
        said = self[sent] = Said(values)
        return said


def _parse_clean(data: bytes) -> Batch | None:
    """The whole body at once; None where anything in it has to be looked at by itself."""
    if (b"\\" in data and b"\\u00" in data) or _has_spaced_name(data):
        return None
    try:
        body = _clean.decode(data)
        # Written again each name stands once: one that was given twice, or as null, leaves more of them in what was sent.
        if data.count(_NAME) != _encoder.encode(body).count(_NAME):
            return None
        return _read_clean(body)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError, KeyError, Problem):
        return None


def _read_clean(body: _Clean) -> Batch | None:
    """Raises Problem for a subject, KeyError and msgspec's errors for an object that has to be looked at by itself."""
    event_ids: list[str | None] = [sent.event_id for sent in body.events]
    if not "".join(cast("list[str]", event_ids)).isprintable():
        return None
    said = _SaidBySent({b"": NOTHING})
    plain = _has_plain_openids(body.events)
    read: list[Read | None] = [
        Read(
            place,
            sent,
            (("openid", sent.subject.openid),) if plain else _named(sent.subject),  # type: ignore[arg-type]  # none is None
            said[bytes(sent.context)],
            said[bytes(sent.properties)],
        )
        for place, sent in enumerate(body.events)
    ]
    return Batch(event_ids, read, {}, body.sent_at, bool(body.historical))


def _has_plain_openids(events: Sequence[SentEvent]) -> bool:
    """Whether openids alone name all subjects, normalised as they are: printable, and without white space at all."""
    subjects = [sent.subject for sent in events]
    openids = [
        subject.openid
        for subject in subjects
        if subject.openid is not None and (subject.unionid, subject.external_id, subject.subject_id) == _NOT_NAMED
    ]
    whole = "".join(openids)
    return len(openids) == len(subjects) and whole.isprintable() and " " not in whole


def _parse_each(data: bytes) -> Batch:
    envelope = _envelope(data)
    batch = Batch([], [], {}, envelope.sent_at, bool(envelope.historical))
    raws = [bytes(raw) for raw in envelope.events]
    names = 1 + (envelope.sent_at is not None) + (envelope.historical is not None)
    for place, raw in enumerate(raws):
        read = _event(place, raw)
        if isinstance(read, Refusal):
            batch.event_ids.append(_event_id(raw))
            batch.read.append(None)
            batch.refused[place] = read
            names += raw.count(_NAME)
        else:
            batch.event_ids.append(read.sent.event_id)
            batch.read.append(read)
            names += _names(read.sent)
    if b"\\u0000" in data or _has_spaced_name(data) or names != data.count(_NAME):
        _read_again(data, envelope, raws, batch)
    return batch


def _event(place: int, raw: bytes) -> Read | Refusal:
    pointer = f"/events/{place}"
    try:
        sent = _events.decode(raw)
        named = _named(sent.subject)
    except Problem as error:
        return Refusal("invalid_event", pointer + (error.errors[0].pointer if error.errors else ""))
    except msgspec.ValidationError as error:
        return Refusal("invalid_event", pointer + described(error)[1])
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return Refusal("invalid_event", pointer)
    if not sent.event_id.isprintable():
        return Refusal("invalid_event", f"{pointer}/event_id")
    return Read(place, sent, named, _said(sent.context), _said(sent.properties))


def _said(values: dict[str, Any] | None) -> Said:
    return Said(values) if values else NOTHING


def _read_again(data: bytes, envelope: Envelope, raws: list[bytes], batch: Batch) -> None:
    """Refuse what msgspec lets pass: NUL and a name given twice. Raises Malformed where the envelope repeats a name.

    A name is followed by `":`, so an object with as many of these as it has names gives none twice. One with more (an
    escaped quote in a text, a null, a doubled name) is read by a parser that sees every name, and so is everything
    where the body holds NUL or white space between a name and its colon.
    """
    suspect = b"\\u0000" in data or _has_spaced_name(data)
    own = 1 + (envelope.sent_at is not None) + (envelope.historical is not None)
    if suspect or data.count(_NAME) - sum(raw.count(_NAME) for raw in raws) != own:
        names = names_of_objects(data)[-1]
        if len(set(names)) != len(names):
            raise Malformed("malformed", "the body repeats a name in an object")
    for place, read in enumerate(batch.read):
        if read is None or not (suspect or raws[place].count(_NAME) != _names(read.sent)):
            continue
        try:
            checked_json(raws[place], read)
        except Problem as error:
            pointer = error.errors[0].pointer if error.errors else ""
            batch.read[place], batch.refused[place] = None, Refusal("invalid_event", f"/events/{place}{pointer}")


def _named(subject: SubjectNamed) -> Named:
    """Raises Invalid."""
    return tuple(checked(subject.identifiers()).items())


def _envelope(data: bytes) -> Envelope:
    try:
        return msgspec.json.decode(data, type=Envelope)
    except msgspec.ValidationError as error:
        detail, pointer = described(error)
        raise Invalid("invalid", detail, [Fault("invalid", detail, pointer)]) from None
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        raise Malformed("malformed", "the body is not JSON in UTF-8") from None


class Times:
    """Bounds an event's own time, and corrects it for the sender's clock."""

    def __init__(self, received_at: datetime, sent_at: datetime | None, oldest: datetime) -> None:
        self._received_at = received_at
        self._newest = received_at + MAX_SKEW
        self._oldest = oldest
        self._skew = self._skew_of(sent_at)
        self._days: dict[int, date] = {}

    def of(self, place: int, sent: SentEvent) -> tuple[date, datetime] | Refusal:
        """(the UTC date as sent, the corrected time)."""
        skew = self._skew if sent.sent_at is None else self._skew_of(sent.sent_at)
        if skew is None:
            return Refusal("invalid_event", f"/events/{place}/sent_at" if sent.sent_at else "/sent_at")
        try:
            occurred = sent.occurred_at
            if occurred.tzinfo is not UTC:
                occurred = occurred.astimezone(UTC)
            if occurred > self._newest:
                return Refusal("in_the_future", f"/events/{place}/occurred_at")
            corrected = occurred + skew
        except OverflowError:
            # At either end of the calendar: a time that is none in UTC, or once it is corrected.
            return Refusal("invalid_event", f"/events/{place}/occurred_at")
        if occurred < self._oldest or corrected < self._oldest:
            return Refusal("too_old", f"/events/{place}/occurred_at")
        # One object for all events of a day: it is asked for its hash again and again.
        number = occurred.toordinal()
        return self._days.get(number) or self._days.setdefault(number, occurred.date()), corrected

    def _skew_of(self, clock: datetime | None) -> timedelta | None:
        """None where the clock is too far off."""
        skew = self._received_at - clock if clock is not None else _NO_SKEW
        return skew if -MAX_SKEW <= skew <= MAX_SKEW else None


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


def _event_id(raw: bytes) -> str | None:
    """The id of an event that cannot be read otherwise, so that its sender knows which it was."""
    try:
        found = _ids.decode(raw).event_id
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None
    return found if found.isprintable() else None
