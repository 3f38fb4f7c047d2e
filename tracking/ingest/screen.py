"""What an event may say: the catalogue's properties, the common context, and nothing that looks like an identifier."""

import re
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from datetime import date
from functools import lru_cache
from typing import Any

import msgspec

from consent.statements import Answer, ask
from tracking.catalogue import Property
from tracking.ingest.parse import Named, Refusal, SentEvent
from tracking.models import EventType

CONTEXT = ("os", "app_version", "device_level", "network", "channel")
MAX_CONTEXT_CHARS = 64
MAX_SAFE_INTEGER = 2**53
PRC_MOBILE = re.compile(r"(?<!\d)(?:\+?86[- ]?)?1[3-9]\d[- ]?\d{4}[- ]?\d{4}(?!\d)")
PRC_MOBILE_DIGITS = re.compile(r"1[3-9]\d[- ]?\d{4}[- ]?\d{4}")
"""The same without its borders: quick to search, and found wherever that is."""
HEX_ID = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}|[0-9a-f]{32,64}", re.IGNORECASE)
"""UUIDs and hashes: some in a thousand hold eleven digits that could be a mobile number, and are none."""
# Shorter values would be found within ordinary words; the platforms' own ids are 28 characters long.
MIN_IDENTIFIER_CHARS = 6

Check = Callable[[Any], bool]


@dataclass(frozen=True)
class Compiled:
    """An event type made ready for many events."""

    id: int
    purpose_id: int
    active: bool
    properties: Mapping[str, Check]
    opaque: frozenset[str]
    required: frozenset[str]


_TYPES = """
    SELECT t.name, t.id, t.version, t.status = 'active' AND p.active
    FROM event_type t JOIN purpose p ON p.id = t.purpose_id WHERE t.program_id = %s AND t.name = ANY(%s)
"""
_CATEGORIES = """
    SELECT t.id, t.categories
    FROM event_type t JOIN purpose p ON p.id = t.purpose_id
    WHERE t.id = ANY(%s) AND t.status = 'active' AND p.active
"""


def ask_catalogue(program_id: int, names: Collection[str]) -> Answer:
    return ask(_TYPES, [program_id, list(names)])


def catalogue(asked: Answer) -> dict[str, Compiled]:
    """Name -> type, of those asked for that are declared. Types are compiled once per version; their and their purposes' status is read each time."""
    return {name: _compiled(type_id, version, active) for name, type_id, version, active in asked.rows()}


def ask_categories(type_ids: Collection[int]) -> Answer:
    return ask(_CATEGORIES, [list(type_ids)])


def active_categories(asked: Answer) -> dict[int, frozenset[str]]:
    """Type id -> what it records of a person, for those of the types that are active now and so are their purposes."""
    return {type_id: frozenset(categories) for type_id, categories in asked.rows()}


@lru_cache(maxsize=4096)
def _compiled(type_id: int, version: int, active: bool) -> Compiled:
    row = EventType.objects.get(id=type_id)
    declared = msgspec.convert(row.properties, dict[str, Property])
    return Compiled(
        id=row.pk,
        purpose_id=row.purpose_id,
        active=active,
        properties={name: _check(item) for name, item in declared.items()},
        opaque=frozenset(name for name, item in declared.items() if item.type == "opaque_id"),
        required=frozenset(name for name, item in declared.items() if item.required),
    )


def _check(declared: Property) -> Check:
    return {
        "string": _string(declared),
        "opaque_id": _string(declared),
        "integer": lambda value: type(value) is int and abs(value) <= MAX_SAFE_INTEGER,
        "number": lambda value: type(value) in (int, float) and abs(value) <= MAX_SAFE_INTEGER,
        "boolean": lambda value: type(value) is bool,
        "date": _is_date,
    }[declared.type]


def _string(declared: Property) -> Check:
    longest = declared.max_length or 1000
    pattern = re.compile(declared.pattern) if declared.pattern else None
    allowed = frozenset(declared.enum) if declared.enum else None

    def check(value: Any) -> bool:
        return (
            type(value) is str
            and len(value) <= longest
            and (allowed is None or value in allowed)
            and (pattern is None or pattern.fullmatch(value) is not None)
        )

    return check


def _is_date(value: Any) -> bool:
    try:
        return type(value) is str and len(value) == 10 and bool(date.fromisoformat(value))
    except ValueError:
        return False


def refusal(place: int, sent: SentEvent, named: Named, event_type: Compiled | None) -> Refusal | None:
    """Why the catalogue does not take the event, or None. Pointers name no undeclared property: its name was sent."""
    pointer = f"/events/{place}"
    if event_type is None or not event_type.active:
        return Refusal("unknown_event", f"{pointer}/name")
    if sent.page is not None and ("?" in sent.page or "#" in sent.page or not sent.page.isprintable()):
        return Refusal("invalid_event", f"{pointer}/page")
    if sent.session_id is not None and not sent.session_id.isprintable():
        return Refusal("invalid_event", f"{pointer}/session_id")
    if type(sent.scene) is str and not sent.scene.isprintable():
        return Refusal("invalid_event", f"{pointer}/scene")
    return (
        _properties(sent.properties or {}, event_type, f"{pointer}/properties")
        or (_context(sent.context, f"{pointer}/context") if sent.context else None)
        or _identifier(sent, named, event_type, pointer)
    )


def _properties(properties: dict[str, Any], event_type: Compiled, pointer: str) -> Refusal | None:
    for name, value in properties.items():
        check = event_type.properties.get(name)
        if check is None:
            return Refusal("undeclared_property", pointer)
        if not check(value):
            return Refusal("invalid_property", f"{pointer}/{name}")
    missing = event_type.required - properties.keys()
    return Refusal("invalid_property", f"{pointer}/{min(missing)}") if missing else None


def _context(context: dict[str, Any], pointer: str) -> Refusal | None:
    for name, value in context.items():
        if name not in CONTEXT:
            return Refusal("undeclared_property", pointer)
        if type(value) is not str or not 0 < len(value) <= MAX_CONTEXT_CHARS or not value.isprintable():
            return Refusal("invalid_property", f"{pointer}/{name}")
    return None


def _identifier(sent: SentEvent, named: Named, event_type: Compiled, pointer: str) -> Refusal | None:
    """An identifier by which the event names its subject, anywhere; or a PRC mobile number but in an opaque id."""
    own = [value for _, value in named if len(value) >= MIN_IDENTIFIER_CHARS]
    # Most events hold nothing of the kind: one look at all their texts says so.
    whole = "\n".join(str(value) for _, value in _texts(sent))
    if PRC_MOBILE_DIGITS.search(whole) is None and not any(value in whole for value in own):
        return None
    for place, value in _texts(sent):
        text = str(value)
        if any(identifier in text for identifier in own) or (
            PRC_MOBILE.search(text) and not _opaque(place, text, event_type)
        ):
            return Refusal("identifier_in_property", f"{pointer}/{place}")
    return None


def _texts(sent: SentEvent) -> list[tuple[str, Any]]:
    """(pointer below the event, value) of whatever is stored as it was sent."""
    texts: list[tuple[str, Any]] = [("event_id", sent.event_id)]
    if sent.page is not None:
        texts.append(("page", sent.page))
    if sent.session_id is not None:
        texts.append(("session_id", sent.session_id))
    if sent.scene is not None:
        texts.append(("scene", sent.scene))
    if sent.properties:
        texts += [(f"properties/{name}", value) for name, value in sent.properties.items()]
    if sent.context:
        texts += [(f"context/{name}", value) for name, value in sent.context.items()]
    return texts


def _opaque(place: str, text: str, event_type: Compiled) -> bool:
    """Digits that mean nothing: within an opaque id, or an id made of random or hashed bits."""
    if place in ("event_id", "session_id"):
        return HEX_ID.fullmatch(text) is not None
    return place.startswith("properties/") and place.removeprefix("properties/") in event_type.opaque
