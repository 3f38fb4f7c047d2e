"""From the body of POST /v1/batch to events and identifications: docs/segment.md has the mapping.

The shape is that of Segment's HTTP tracking API. Its libraries add much that nobody asked them for: whatever is not
named here is read past and kept nowhere. Properties and traits are the caller's own words, and are judged.
"""

import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Annotated, Any

import msgspec

from consent.api.bodies import described, holds_nul, refuse_doubled_names, unchecked
from consent.api.shapes import Moment
from tracking.addresses import page_path
from tracking.ingest.parse import Refusal

MAX_MESSAGES = 2500
MAX_MESSAGE_BYTES = 32 * 1024
"""Both are Segment's own bounds."""
MAX_IDENTIFICATIONS = 500
"""Each is a transaction of some milliseconds. The libraries put a hundred messages or so into a batch."""
MAX_MESSAGE_ID_CHARS = 100
MAX_EVENT_ID_CHARS = 64
TYPES = frozenset({"track", "page", "screen", "identify"})
PAGE_VIEW = "page_view"
"""The event that pages and screens are."""

STANDARD = frozenset({"path", "url", "referrer", "search", "title", "keywords", "name", "category"})
"""What Segment's page and screen calls put into `properties` by themselves: `path` or `url` tells our page, the rest is dropped."""

_MORE_THAN_UUID = re.compile(r".+[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.IGNORECASE)

Id = Annotated[str, msgspec.Meta(max_length=128)] | int
"""Some libraries send numbers as they are."""
Trait = Annotated[str, msgspec.Meta(max_length=1000)]


class Os(msgspec.Struct):
    name: str | None = None


class App(msgspec.Struct):
    version: str | None = None


class Network(msgspec.Struct):
    wifi: bool | None = None
    cellular: bool | None = None


class Campaign(msgspec.Struct):
    source: str | None = None


class Shown(msgspec.Struct):
    path: str | None = None
    url: str | None = None


class Context(msgspec.Struct):
    """What has an equivalent here; the rest is dropped."""

    os: Os | None = None
    app: App | None = None
    network: Network | None = None
    campaign: Campaign | None = None
    page: Shown | None = None


class Message(msgspec.Struct, rename="camel"):
    """A message of `type` track, page, screen or identify; other members are dropped."""

    type: str
    message_id: Annotated[str, msgspec.Meta(min_length=1, max_length=MAX_MESSAGE_ID_CHARS)]
    timestamp: Moment | None = None
    sent_at: Moment | None = None
    user_id: Id | None = None
    anonymous_id: Id | None = None
    event: str | None = None
    name: str | None = None
    properties: dict[str, msgspec.Raw] | None = None
    traits: Annotated[dict[str, Trait | None], msgspec.Meta(max_length=50)] | None = None
    context: Context | None = None


class Envelope(msgspec.Struct, rename="camel"):
    batch: Annotated[list[msgspec.Raw], msgspec.Meta(min_length=1, max_length=MAX_MESSAGES)]
    sent_at: Moment | None = None


class Event(msgspec.Struct, omit_defaults=True):
    """As POST /events takes it."""

    event_id: str
    name: str
    subject: dict[str, str]
    occurred_at: datetime
    sent_at: datetime | None = None
    page: str | None = None
    context: dict[str, str] | None = None
    properties: dict[str, msgspec.Raw] | None = None


@dataclass(frozen=True)
class Mapped:
    """An event, and where in the message its `name` and `page` were told, as the ends of JSON pointers."""

    event: Event
    told: Mapping[str, str]


@dataclass(frozen=True)
class Identification:
    """Who somebody is: identifiers of one person, and attributes to set (None: to remove)."""

    identifiers: dict[str, str]
    attributes: dict[str, str | None]


@dataclass
class Batch:
    """What each message comes to, by place. Pointers go into the body as sent.

    `unreadable`: the places of events that cannot be read. They are among the refused.
    """

    sent_at: datetime | None
    message_ids: list[str | None] = field(default_factory=list)
    events: dict[int, Mapped] = field(default_factory=dict)
    identifications: dict[int, Identification] = field(default_factory=dict)
    refused: dict[int, Refusal] = field(default_factory=dict)
    unreadable: set[int] = field(default_factory=set)


class _Label(msgspec.Struct, rename="camel"):
    """What may be read of a message that cannot be read otherwise."""

    type: Any = None
    message_id: Any = None


class _Unreadable(Exception):
    """`at`: where in the message, as the end of a JSON pointer."""

    def __init__(self, at: str) -> None:
        super().__init__()
        self.at = at


_messages = msgspec.json.Decoder(Message)
_labels = msgspec.json.Decoder(_Label)


def parse(data: bytes) -> Batch:
    """Raises Malformed, Invalid for the envelope as a whole."""
    envelope = unchecked(data, Envelope)
    refuse_doubled_names(data)
    batch = Batch(envelope.sent_at)
    for place, message in enumerate(envelope.batch):
        _add(batch, place, bytes(message))
    return batch


def _add(batch: Batch, place: int, raw: bytes) -> None:
    label = _label(raw)
    batch.message_ids.append(label.message_id if _is_message_id(label.message_id) else None)
    if isinstance(label.type, str) and label.type not in TYPES:
        batch.refused[place] = Refusal("unsupported_type", f"/batch/{place}/type")
        return
    try:
        message = _read(raw)
        if message.type == "identify":
            batch.identifications[place] = Identification(_subject(message), message.traits or {})
        else:
            batch.events[place] = _mapped(message)
    except _Unreadable as error:
        batch.refused[place] = Refusal("invalid_event", f"/batch/{place}{error.at}")
        if label.type != "identify":
            batch.unreadable.add(place)


def _label(raw: bytes) -> _Label:
    try:
        return _labels.decode(raw)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return _Label()


def _is_message_id(value: object) -> bool:
    return isinstance(value, str) and 0 < len(value) <= MAX_MESSAGE_ID_CHARS and value.isprintable()


def _read(raw: bytes) -> Message:
    """Raises _Unreadable."""
    if len(raw) > MAX_MESSAGE_BYTES or holds_nul(raw):
        raise _Unreadable("")
    try:
        message = _messages.decode(raw)
    except msgspec.ValidationError as error:
        raise _Unreadable(described(error)[1]) from None
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        raise _Unreadable("") from None
    if not _is_message_id(message.message_id):
        raise _Unreadable("/messageId")
    return message


def _subject(message: Message) -> dict[str, str]:
    """Raises _Unreadable."""
    named = {"openid": message.anonymous_id, "external_id": message.user_id}
    found = {kind: str(value) for kind, value in named.items() if value is not None}
    if not found:
        raise _Unreadable("/userId")
    return found


def _mapped(message: Message) -> Mapped:
    """Raises _Unreadable."""
    context = message.context or Context()
    properties = dict(message.properties or {})
    if message.type == "track":
        name, told_name, shown = message.event, "/event", []
    else:
        name, told_name = PAGE_VIEW, "/type"
        standard = {name: properties.pop(name, None) for name in STANDARD}
        shown = [(f"/properties/{name}", _text(standard[name], f"/properties/{name}")) for name in ("path", "url")]
        shown.append(("/name", message.name))
    if name is None:
        raise _Unreadable("/event")
    if message.timestamp is None:
        raise _Unreadable("/timestamp")
    page = context.page or Shown()
    shown += [("/context/page/path", page.path), ("/context/page/url", page.url)]
    told_page, address = next(((told, address) for told, address in shown if address), ("", None))
    event = Event(
        event_id=event_id(message.message_id),
        name=event_name(name),
        subject=_subject(message),
        occurred_at=message.timestamp,
        sent_at=message.sent_at,
        page=address if address is None or told_page == "/name" else page_path(address),
        context=_context(context) or None,
        properties=properties or None,
    )
    return Mapped(event, {"/name": told_name, "/page": told_page})


def _text(value: msgspec.Raw | None, at: str) -> str | None:
    """Raises _Unreadable where it is neither text nor null."""
    try:
        return None if value is None else msgspec.json.decode(value, type=str | None)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        raise _Unreadable(at) from None


def event_id(message_id: str) -> str:
    """As it is, or its SHA-256 where that is too long for an event's id, or more than the UUID it ends in.

    Some libraries put a name and a time before the UUID; one in some thousands of such would be taken for an id that
    holds a telephone number.
    """
    if len(message_id) <= MAX_EVENT_ID_CHARS and not _MORE_THAN_UUID.fullmatch(message_id):
        return message_id
    return hashlib.sha256(message_id.encode()).hexdigest()


def event_name(name: str) -> str:
    """Segment's `Order Completed` is the catalogue's `order_completed`; what is a name already stays as it is."""
    return re.sub(r"[ -]+", "_", name.strip().lower())


def _context(context: Context) -> dict[str, str]:
    network = context.network or Network()
    found = {
        "os": context.os and context.os.name,
        "app_version": context.app and context.app.version,
        "network": "wifi" if network.wifi else "cellular" if network.cellular else None,
        "channel": context.campaign and context.campaign.source,
    }
    return {name: value for name, value in found.items() if value}
