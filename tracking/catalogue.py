"""The event catalogue: what may be recorded, declared in YAML in the mini-program's own repository."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from typing import Annotated, Any, Literal

import msgspec
import yaml

from consent.errors import Conflict, Fault, Invalid, NotFound
from consent.ledger.audit import OFFICER, audit
from consent.notices.models import Purpose
from consent.programs.models import MiniProgram
from consent.programs.tenancy import tenant
from consent.yaml_text import read, unreadable
from tracking import patterns
from tracking.differences import Change, changes
from tracking.models import EventStatus, EventType, EventTypeVersion

MOST_EVENTS = 1_000
MOST_PROPERTIES = 100
MOST_CATEGORIES = 50
MOST_VALUES = 500
"""Of an enum."""
LONGEST = 1_000
"""Characters of a string that is sent, where no max_length says less; of a description and of an enum's value."""

Name = Annotated[str, msgspec.Meta(pattern=r"^[a-z][a-z0-9_]{0,62}$")]
Category = Annotated[str, msgspec.Meta(pattern=r"^[a-z][a-z0-9_]{0,62}$")]
Classification = Literal["behaviour", "profile", "pseudonym", "operational", "public"]
"""consent.rights.classification.Kind, but for what no event may hold: identifiers, keys, and evidence of other things."""


class Property(msgspec.Struct, forbid_unknown_fields=True, omit_defaults=True):
    """A declared property. A string is bounded by `enum`, `pattern` (full match) or `max_length` (characters).

    `classification` and `grade` are what it says of a person and the harm its exposure would do, as in
    consent.rights.classification. Left out, they are those of the column it is stored in: behaviour, 3.
    """

    type: Literal["string", "integer", "number", "boolean", "date", "opaque_id"]
    required: bool = False
    enum: list[str] | None = None
    max_length: Annotated[int, msgspec.Meta(ge=1, le=LONGEST)] | None = None
    pattern: str | None = None
    classification: Classification = "behaviour"
    grade: Annotated[int, msgspec.Meta(ge=1, le=4)] = 3
    description: str = ""


class Declaration(msgspec.Struct, forbid_unknown_fields=True, omit_defaults=True):
    """An event. `categories`: what of a person it records; a consent's notice must cover them all."""

    purpose: Name
    categories: Annotated[list[Category], msgspec.Meta(min_length=1)]
    description: str = ""
    status: Literal["draft", "active", "retired"] = "active"
    properties: dict[Name, Property] = {}


class Catalogue(msgspec.Struct, forbid_unknown_fields=True):
    """Event name -> declaration."""

    events: dict[Name, Declaration]


def parse(text: str) -> Catalogue:
    """Raises Invalid, naming the places."""
    try:
        said = read(text)
        catalogue = msgspec.convert(said, Catalogue, strict=True)
    except yaml.YAMLError as error:
        raise Invalid("invalid_catalogue", f"the file is not YAML{unreadable(error)}") from None
    except msgspec.ValidationError as error:
        found = list(_unread(said)) or [("events", str(error))]
    else:
        found = list(_faults(catalogue))
    if found:
        faults = [Fault("invalid_catalogue", detail, place) for place, detail in found]
        raise Invalid("invalid_catalogue", several(faults), faults)
    return catalogue


def several(faults: list[Fault]) -> str:
    """A problem's own detail: the fault, or how many there are."""
    return f"{faults[0].pointer}: {faults[0].detail}" if len(faults) == 1 else f"{len(faults)} faults"


def _unread(said: Any) -> Iterator[tuple[str, str]]:
    """(place, what is wrong) of what cannot be read: the places that msgspec tells name neither event nor property."""
    for event, declaration in _items(said, "events"):
        place = f"events.{event}"
        within = [
            (f"{place}.properties.{name}", detail)
            for name, declared in _items(declaration, "properties")
            for detail in _unconverted({name: declared}, dict[Name, Property])
        ]
        yield from within or ((place, detail) for detail in _unconverted({event: declaration}, dict[Name, Declaration]))


def _items(said: Any, name: str) -> list[tuple[Any, Any]]:
    held = said.get(name) if isinstance(said, dict) else None
    return list(held.items()) if isinstance(held, dict) else []


def _unconverted(said: Any, kind: Any) -> Iterator[str]:
    try:
        msgspec.convert(said, kind, strict=True)
    except msgspec.ValidationError as error:
        yield str(error).replace("$[...]", "$")


def _faults(catalogue: Catalogue) -> Iterator[tuple[str, str]]:
    """(place, what to do). Bounds stand here rather than in the types, so that what is in the database stays readable."""
    if len(catalogue.events) > MOST_EVENTS:
        yield "events", f"a catalogue has {MOST_EVENTS} events at most"
    for event, declaration in catalogue.events.items():
        place = f"events.{event}"
        if len(declaration.properties) > MOST_PROPERTIES:
            yield place, f"an event has {MOST_PROPERTIES} properties at most"
        if len(declaration.categories) > MOST_CATEGORIES:
            yield place, f"an event has {MOST_CATEGORIES} categories at most"
        yield from ((place, detail) for detail in _text_faults("a description", declaration.description))
        for name, declared in declaration.properties.items():
            yield from ((f"{place}.properties.{name}", detail) for detail in _property_faults(declared))


def _property_faults(declared: Property) -> Iterator[str]:
    bounded = declared.enum is not None or declared.max_length is not None or declared.pattern is not None
    if declared.type == "string" and not bounded:
        yield "a string needs an enum, a pattern or a max_length"
    if declared.type == "opaque_id" and declared.pattern is None:
        yield "an opaque_id needs a pattern"
    if bounded and declared.type not in ("string", "opaque_id"):
        yield "enum, pattern and max_length are for strings and opaque ids"
    if declared.enum is not None and not 1 <= len(declared.enum) <= MOST_VALUES:
        yield f"an enum has 1 to {MOST_VALUES} values"
    if declared.enum is not None and len(set(declared.enum)) < len(declared.enum):
        yield "an enum names each value once"
    yield from {detail for value in declared.enum or () for detail in _text_faults("a value", value)}
    yield from _text_faults("a description", declared.description)
    if declared.pattern is not None and (detail := _pattern_fault(declared.pattern, declared.max_length)):
        yield detail


def _pattern_fault(pattern: str, max_length: int | None) -> str | None:
    return next(_text_faults("a pattern", pattern), None) or patterns.fault(pattern, max_length or LONGEST)


def _text_faults(what: str, text: str) -> Iterator[str]:
    if len(text) > LONGEST:
        yield f"{what} has {LONGEST} characters at most"
    if any(one == "\0" or "\ud800" <= one <= "\udfff" for one in text):
        yield f"{what} holds a character that cannot be stored"


# --- In the service --------------------------------------------------------------------------------------------------

_STATUS_SET = {EventStatus.ACTIVE: "event_type.activated", EventStatus.RETIRED: "event_type.retired"}


@dataclass(frozen=True)
class Imported:
    """Event names by what an import does, or would do, and what it changes in those updated or retired.

    `absent`: in the service and not in the file; left as they are. `retired`: of these, where that was asked for.
    """

    created: list[str]
    updated: list[str]
    unchanged: list[str]
    absent: list[str]
    retired: list[str]
    changes: dict[str, list[Change]]

    def counts(self) -> dict[str, int]:
        names = ("created", "updated", "unchanged", "absent", "retired")
        return {name: len(getattr(self, name)) for name in names}

    def __bool__(self) -> bool:
        """Whether the file and the service differ."""
        return bool(self.created or self.updated or self.absent or self.retired)


def declared_by(row: EventType) -> dict[str, Any]:
    """What an event type says, as its version keeps it. `row.purpose` has been selected."""
    return {
        "purpose": row.purpose.code,
        "categories": row.categories,
        "description": row.description,
        "status": row.status,
        "properties": row.properties,
    }


def export_catalogue(program_id: int) -> Catalogue:
    """The catalogue as it stands, in the order of names. Within the mini-program's tenant."""
    rows = EventType.objects.filter(program_id=program_id).select_related("purpose").order_by("name")
    return Catalogue({row.name: msgspec.convert(declared_by(row), Declaration) for row in rows})


def import_catalogue(
    *, program_id: int, catalogue: Catalogue, by: str, now: datetime, retire_missing: bool = False
) -> Imported:
    """Create and update event types, all or nothing. What the file leaves out stays as it is, or is retired.

    Raises Invalid `unknown_purpose`; Conflict `purpose_fixed`, `type_fixed`, since events are stored that were collected
    for the purpose and hold values of the type; Conflict `retired_by_officer`.
    """
    with _changing(program_id):
        plan = _Plan(program_id, catalogue, retire_missing)
        plan.check()
        plan.carry_out(by=by, now=now)
        audit(
            program_id=program_id,
            actor=by,
            action="catalogue.imported",
            target="catalogue",
            details=plan.outcome.counts(),
        )
        return plan.outcome


def compare_catalogue(*, program_id: int, catalogue: Catalogue, retire_missing: bool = False) -> Imported:
    """What `import_catalogue` would do; changes nothing. Raises what it does."""
    with tenant(program_id):
        plan = _Plan(program_id, catalogue, retire_missing)
        plan.check()
        return plan.outcome


def set_status(*, program_id: int, type_id: int, status: EventStatus, by: str, now: datetime) -> None:
    """Retire an event type, or activate it (again): from the commit on no batch begins that finds it otherwise.

    Raises NotFound; Conflict `status_unchanged`.
    """
    action = _STATUS_SET[status]
    with _changing(program_id):
        row = EventType.objects.select_related("purpose").filter(program_id=program_id, id=type_id).first()
        if row is None:
            raise NotFound("not_found", "this mini-program has no event type with this id")
        if row.status == status:
            raise Conflict("status_unchanged", f"the event type is {status} already")
        row.status = status
        _save([], [row], by=by, now=now)
        audit(program_id=program_id, actor=by, action=action, target=f"event_type:{row.pk}")


@contextmanager
def _changing(program_id: int) -> Iterator[None]:
    """One change of a mini-program's catalogue at a time."""
    with tenant(program_id):
        MiniProgram.objects.select_for_update(no_key=True).get(id=program_id)
        yield


class _Plan:
    """What becomes of each event type if a file is imported. Within the mini-program's tenant."""

    def __init__(self, program_id: int, catalogue: Catalogue, retire_missing: bool) -> None:
        self._program_id = program_id
        self._purposes = {purpose.code: purpose for purpose in Purpose.objects.filter(program_id=program_id)}
        rows = EventType.objects.filter(program_id=program_id).select_related("purpose").order_by("name")
        self._rows = {row.name: row for row in rows}
        self._held = {name: declared_by(row) for name, row in self._rows.items()}
        self._wanted = {name: _canonical(declaration) for name, declaration in catalogue.events.items()}
        missing = self._held.keys() - self._wanted.keys()
        if retire_missing:
            self._wanted |= {name: {**self._held[name], "status": EventStatus.RETIRED.value} for name in missing}
        kept = sorted(self._held.keys() & self._wanted.keys())
        changed = {name: found for name in kept if (found := changes(self._held[name], self._wanted[name]))}
        self.outcome = Imported(
            created=sorted(self._wanted.keys() - self._held.keys()),
            updated=sorted(changed.keys() - missing),
            unchanged=sorted(set(kept) - changed.keys() - missing),
            absent=sorted(missing - changed.keys()),
            retired=sorted(missing & changed.keys()),
            changes=changed,
        )

    def check(self) -> None:
        """Raises what an import does, with every place that it does not take."""
        unknown = [
            Fault("unknown_purpose", f"publish a notice that tells of {declared['purpose']}", f"events.{name}")
            for name, declared in sorted(self._wanted.items())
            if declared["purpose"] not in self._purposes
        ]
        if unknown:
            raise Invalid("unknown_purpose", several(unknown), unknown)
        histories = _histories(self._program_id)
        faults = [
            fault
            for name in self.outcome.updated
            for fault in _against(name, self._held[name], self._wanted[name], histories.get(self._rows[name].pk, []))
        ]
        if faults:
            raise Conflict(faults[0].code, several(faults), faults)

    def carry_out(self, *, by: str, now: datetime) -> None:
        created = [
            EventType(program_id=self._program_id, name=name, version=0, **self._columns(name))
            for name in self.outcome.created
        ]
        for name in self.outcome.changes:
            for column, value in self._columns(name).items():
                setattr(self._rows[name], column, value)
        _save(created, [self._rows[name] for name in self.outcome.changes], by=by, now=now)

    def _columns(self, name: str) -> dict[str, Any]:
        return {**self._wanted[name], "purpose": self._purposes[self._wanted[name]["purpose"]]}


def _canonical(declaration: Declaration) -> dict[str, Any]:
    return {
        "purpose": declaration.purpose,
        "categories": sorted(set(declaration.categories)),
        "description": declaration.description,
        "status": declaration.status,
        "properties": msgspec.to_builtins(declaration.properties),
    }


History = list[tuple[dict[str, Any], str]]
"""(declaration, actor) of an event type's versions, the first first."""


def _histories(program_id: int) -> dict[int, History]:
    found: dict[int, History] = {}
    rows = EventTypeVersion.objects.filter(program_id=program_id).order_by("event_type_id", "version")
    for type_id, declaration, actor in rows.values_list("event_type_id", "declaration", "actor"):
        found.setdefault(type_id, []).append((declaration, actor))
    return found


def _against(name: str, held: dict[str, Any], wanted: dict[str, Any], history: History) -> Iterator[Fault]:
    """What stands against an event type's saying something else from now on."""
    place = f"events.{name}"
    if wanted["purpose"] != held["purpose"]:
        yield Fault("purpose_fixed", "an event's purpose is fixed; take a new name", place)
    if held["status"] == EventStatus.RETIRED != wanted["status"] and _retired_by(history).startswith(OFFICER):
        detail = "an officer retired it: write status: retired, or have an officer activate it first"
        yield Fault("retired_by_officer", detail, place)
    types = _types_used(history, held)
    for prop, declared in sorted(wanted["properties"].items()):
        used = types.get(prop, declared["type"])
        if used != declared["type"]:
            detail = f"its type is fixed as {used}, since the event has been in use: take a new property name"
            yield Fault("type_fixed", detail, f"{place}.properties.{prop}")


def _types_used(history: History, held: dict[str, Any]) -> dict[str, str]:
    """Property -> type, of the properties that stored events may hold: those of versions that were no drafts."""
    return {
        prop: declared["type"]
        for declaration in (*(kept for kept, _ in history), held)
        if declaration["status"] != EventStatus.DRAFT
        for prop, declared in declaration["properties"].items()
    }


def _retired_by(history: History) -> str:
    """Who made the first of the versions since which the event type is retired."""
    actor = ""
    for declaration, by in reversed(history):
        if declaration["status"] != EventStatus.RETIRED:
            break
        actor = by
    return actor


def _save(created: list[EventType], changed: list[EventType], *, by: str, now: datetime) -> None:
    """Write the event types and the version that each has become."""
    for row in (*created, *changed):
        row.version += 1
        row.updated_at = now
    EventType.objects.bulk_create(created)
    columns = ("purpose", "description", "status", "categories", "properties", "version", "updated_at")
    EventType.objects.bulk_update(changed, columns)
    EventTypeVersion.objects.bulk_create(
        EventTypeVersion(
            program_id=row.program_id,
            event_type=row,
            version=row.version,
            declaration=declared_by(row),
            actor=by,
            at=now,
        )
        for row in (*created, *changed)
    )
