"""What an event may say: the catalogue's properties, the common context, and nothing that looks like an identifier."""

import re
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from functools import lru_cache
from typing import Any

import msgspec

from consent import identifiers
from consent.statements import Answer, Int8s, ask
from tracking.catalogue import Property
from tracking.ingest.parse import Named, Read, Refusal, Said, SentEvent
from tracking.models import EventType

CONTEXT = ("os", "app_version", "device_level", "network", "channel")
MAX_CONTEXT_CHARS = 64
MAX_SAFE_INTEGER = 2**53
# Shorter values would be found within ordinary words; the platforms' own ids are 28 characters long.
MIN_IDENTIFIER_CHARS = 6
_LINE_ENDS = 3

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
    return ask(_CATEGORIES, [Int8s.of(type_ids)])


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
        # A week date (2026-W40-4) is ISO's too, and not what the catalogue says.
        return type(value) is str and date.fromisoformat(value).isoformat() == value
    except ValueError:
        return False


def refusals(reads: Sequence[Read], catalogue: Mapping[str, Compiled]) -> dict[int, Refusal]:
    """Why the catalogue does not take events of a batch, by their places; `catalogue`: by name.

    What many events say is looked at once, and identifiers are looked for in all texts at one go. Pointers name no
    undeclared property: its name was sent.
    """
    own = [_own_texts(read.sent) for read in reads]
    taken = _Taken(well_formed=_all_well_formed(own))
    refused: dict[int, Refusal] = {}
    passed: list[tuple[int, Read, Compiled]] = []
    for number, read in enumerate(reads):
        event_type = catalogue.get(read.sent.name)
        if event_type is None or not event_type.active:
            refused[read.place] = Refusal("unknown_event", f"/events/{read.place}/name")
        elif (fault := taken.fault(read, event_type)) is not None:
            refused[read.place] = Refusal(fault.code, f"/events/{read.place}/{fault.pointer}")
        else:
            passed.append((number, read, event_type))
    # Only of what the catalogue takes: a value of any size would take any time to look at.
    texts = taken.texts()
    suspects = identifiers.suspects([*own, *texts.values()])
    suspicious = {said for number, said in enumerate(texts, len(own)) if number in suspects} if suspects else set()
    for number, read, event_type in passed:
        if (
            (suspects and (number in suspects or read.properties in suspicious or read.context in suspicious))
            or _holds_own(read.named, own[number], texts[read.properties], texts[read.context])
        ) and (found := _identifier(read, event_type)) is not None:
            refused[read.place] = found
    return refused


class _Taken:
    """What the events of a batch say, each distinct piece checked once. Pointers of faults begin below the event."""

    def __init__(self, *, well_formed: bool) -> None:
        self._well_formed = well_formed
        self._properties: dict[tuple[int, Said], Refusal | None] = {}
        self._contexts: dict[Said, Refusal | None] = {}

    def fault(self, read: Read, event_type: Compiled) -> Refusal | None:
        """Why the catalogue does not take an event of a declared type, whatever its texts look like."""
        if not self._well_formed and (malformed := _malformed(read.sent)) is not None:
            return Refusal("invalid_event", malformed)
        key, context = (event_type.id, read.properties), read.context
        if key not in self._properties:
            self._properties[key] = _properties(read.properties.values, event_type)
        if context not in self._contexts:
            self._contexts[context] = _context(context.values)
        return self._properties[key] or self._contexts[context]

    def texts(self) -> dict[Said, str]:
        """The values of what is taken, a line each."""
        pieces = [said for (_, said), fault in self._properties.items() if fault is None]
        pieces += [said for said, fault in self._contexts.items() if fault is None]
        return {said: "\n".join(map(str, said.values.values())) for said in pieces}


def _holds_own(named: Named, *texts: str) -> bool:
    """Whether an identifier by which the event names its subject stands in one of the texts."""
    for _, value in named:
        for text in texts:
            if value in text and len(value) >= MIN_IDENTIFIER_CHARS:
                return True
    return False


def _all_well_formed(texts: Collection[str]) -> bool:
    """Whether `_malformed` finds nothing in any event of whose own texts these are, by one look at all of them.

    It may say no of events that are: an id may hold what no page may.
    """
    whole = "".join(texts)
    lines = whole.replace("\n", "")
    return (
        len(whole) - len(lines) == _LINE_ENDS * len(texts)
        and lines.isprintable()
        and "?" not in lines
        and "#" not in lines
    )


def _malformed(sent: SentEvent) -> str | None:
    """The name of a text that cannot be printed, or of a page with a query or fragment."""
    if sent.page is not None and ("?" in sent.page or "#" in sent.page or not sent.page.isprintable()):
        return "page"
    if sent.session_id is not None and not sent.session_id.isprintable():
        return "session_id"
    if type(sent.scene) is str and not sent.scene.isprintable():
        return "scene"
    return None


def _properties(properties: dict[str, Any], event_type: Compiled) -> Refusal | None:
    """Its pointer begins below the event."""
    for name, value in properties.items():
        check = event_type.properties.get(name)
        if check is None:
            return Refusal("undeclared_property", "properties")
        if not check(value):
            return Refusal("invalid_property", f"properties/{name}")
    missing = event_type.required - properties.keys()
    return Refusal("invalid_property", f"properties/{min(missing)}") if missing else None


def _context(context: dict[str, Any]) -> Refusal | None:
    """Its pointer begins below the event."""
    for name, value in context.items():
        if name not in CONTEXT:
            return Refusal("undeclared_property", "context")
        if type(value) is not str or not 0 < len(value) <= MAX_CONTEXT_CHARS or not value.isprintable():
            return Refusal("invalid_property", f"context/{name}")
    return None


def _identifier(read: Read, event_type: Compiled) -> Refusal | None:
    """An identifier by which the event names its subject, anywhere; or what looks like anybody's, but in an opaque id."""
    own = [value for _, value in read.named if len(value) >= MIN_IDENTIFIER_CHARS]
    for place, value in _texts(read):
        text = str(value)
        if any(identifier in text for identifier in own) or (
            not _opaque(place, event_type) and identifiers.kind_of(text) is not None
        ):
            return Refusal("identifier_in_property", f"/events/{read.place}/{place}")
    return None


def _own_texts(sent: SentEvent) -> str:
    """What is stored as it was sent, but context and properties: a line each, with _LINE_ENDS between."""
    scene = "" if sent.scene is None else str(sent.scene)
    return f"{sent.event_id}\n{sent.page or ''}\n{sent.session_id or ''}\n{scene}"


def _texts(read: Read) -> Iterator[tuple[str, Any]]:
    """Whatever is stored as it was sent, with pointers below the event."""
    sent = read.sent
    yield "event_id", sent.event_id
    for name in ("page", "session_id", "scene"):
        if (value := getattr(sent, name)) is not None:
            yield name, value
    for name, value in read.properties.values.items():
        yield f"properties/{name}", value
    for name, value in read.context.values.items():
        yield f"context/{name}", value


def _opaque(place: str, event_type: Compiled) -> bool:
    return place.startswith("properties/") and place.removeprefix("properties/") in event_type.opaque
