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
from tracking.ingest import identifiers
from tracking.ingest.parse import Named, Refusal, SentEvent
from tracking.models import EventType

CONTEXT = ("os", "app_version", "device_level", "network", "channel")
MAX_CONTEXT_CHARS = 64
MAX_SAFE_INTEGER = 2**53
# Shorter values would be found within ordinary words; the platforms' own ids are 28 characters long.
MIN_IDENTIFIER_CHARS = 6

Check = Callable[[Any], bool]


@dataclass(frozen=True)
class Compiled:
    """An event type made ready for many events."""

    id: int
    version: int
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
    SELECT t.id, t.version, t.categories
    FROM event_type t JOIN purpose p ON p.id = t.purpose_id
    WHERE t.id = ANY(%s) AND t.status = 'active' AND p.active
"""


_active: dict[tuple[int, str], Compiled] = {}
"""Types of a mini-program by name, as this process last saw them. The gate sees them again under the lock, and whoever is
not what it was is forgotten. Inactive ones are not kept: no event of theirs comes as far as the gate."""
_MAX_ACTIVE = 10_000


class CatalogueChanged(Exception):
    """A type is not what the events were screened by: screen them again."""


class AskedCatalogue:
    """The types of some names: to be made within `together`, and read after it."""

    def __init__(self, program_id: int, names: Collection[str]) -> None:
        self._program_id = program_id
        self._known = {name: found for name in names if (found := _active.get((program_id, name))) is not None}
        unknown = [name for name in names if name not in self._known]
        self._asked = ask(_TYPES, [program_id, unknown]) if unknown else None

    def types(self) -> dict[str, Compiled]:
        """Name -> type, of those that are declared."""
        rows = self._asked.rows() if self._asked is not None else ()
        found = {name: _compiled(type_id, version, active) for name, type_id, version, active in rows}
        if len(_active) > _MAX_ACTIVE:
            _active.clear()
        _active.update({(self._program_id, name): item for name, item in found.items() if item.active})
        return self._known | found


def ask_categories(type_ids: Collection[int]) -> Answer:
    return ask(_CATEGORIES, [list(type_ids)])


def active_categories(asked: Answer, screened: Collection[Compiled]) -> dict[int, frozenset[str]]:
    """Type id -> what it records of a person, for those of the types that are active now and so are their purposes.

    Raises CatalogueChanged where the events were screened by another version.
    """
    found = {type_id: (version, frozenset(categories)) for type_id, version, categories in asked.rows()}
    stale = {item.id for item in screened if item.id not in found or found[item.id][0] != item.version}
    for key, item in list(_active.items()):
        if item.id in stale:
            _active.pop(key, None)
    if stale & found.keys():
        raise CatalogueChanged
    return {type_id: categories for type_id, (_, categories) in found.items()}


@lru_cache(maxsize=4096)
def _compiled(type_id: int, version: int, active: bool) -> Compiled:
    row = EventType.objects.get(id=type_id)
    declared = msgspec.convert(row.properties, dict[str, Property])
    return Compiled(
        id=row.pk,
        version=version,
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
    """An identifier by which the event names its subject, anywhere; or what looks like anybody's, but in an opaque id."""
    own = [value for _, value in named if len(value) >= MIN_IDENTIFIER_CHARS]
    # Most events hold nothing of the kind: one look at all their texts says so.
    whole = "\n".join(_values(sent))
    if not identifiers.may_hold(whole):
        for value in own:
            if value in whole:
                break
        else:
            return None
    for place, value in _texts(sent):
        text = str(value)
        if any(identifier in text for identifier in own) or (
            not _opaque(place, event_type) and identifiers.kind_of(text) is not None
        ):
            return Refusal("identifier_in_property", f"{pointer}/{place}")
    return None


def _values(sent: SentEvent) -> list[str]:
    """Whatever is stored as it was sent."""
    values = [sent.event_id]
    if sent.page is not None:
        values.append(sent.page)
    if sent.session_id is not None:
        values.append(sent.session_id)
    if sent.scene is not None:
        values.append(str(sent.scene))
    if sent.properties:
        values += map(str, sent.properties.values())
    if sent.context:
        values += sent.context.values()
    return values


def _texts(sent: SentEvent) -> list[tuple[str, Any]]:
    """The same with pointers below the event."""
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


def _opaque(place: str, event_type: Compiled) -> bool:
    return place.startswith("properties/") and place.removeprefix("properties/") in event_type.opaque
