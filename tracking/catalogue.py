"""The event catalogue: what may be recorded, declared in YAML in the mini-program's own repository."""

import re
from datetime import datetime
from typing import Annotated, Any, Literal

import msgspec
import yaml

from consent.errors import Conflict, Invalid
from consent.ledger.audit import audit
from consent.notices.models import Purpose
from consent.programs.tenancy import tenant
from tracking.models import EventType

Name = Annotated[str, msgspec.Meta(pattern=r"^[a-z][a-z0-9_]{0,62}$")]
Category = Annotated[str, msgspec.Meta(pattern=r"^[a-z][a-z0-9_]{0,62}$")]


class Property(msgspec.Struct, forbid_unknown_fields=True, omit_defaults=True):
    """A declared property. A string is bounded by `enum`, `pattern` (full match) or `max_length` (characters)."""

    type: Literal["string", "integer", "number", "boolean", "date", "opaque_id"]
    required: bool = False
    enum: list[str] | None = None
    max_length: Annotated[int, msgspec.Meta(ge=1, le=1000)] | None = None
    pattern: str | None = None


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
    """Raises Invalid, naming the place."""
    try:
        catalogue = msgspec.convert(yaml.safe_load(text), Catalogue, strict=True)
    except yaml.YAMLError:
        raise Invalid("invalid_catalogue", "the file is not YAML") from None
    except msgspec.ValidationError as error:
        raise Invalid("invalid_catalogue", str(error)) from None
    for event, declaration in catalogue.events.items():
        for name, declared in declaration.properties.items():
            if (fault := _fault(declared)) is not None:
                raise Invalid("invalid_catalogue", f"events.{event}.properties.{name}: {fault}")
    return catalogue


def _fault(declared: Property) -> str | None:
    if declared.type == "string" and not (declared.enum or declared.max_length or declared.pattern):
        return "a string needs an enum, a pattern or a max_length"
    if declared.type == "opaque_id" and not declared.pattern:
        return "an opaque_id needs a pattern"
    if declared.pattern is not None:
        try:
            re.compile(declared.pattern)
        except re.error:
            return "the pattern is not a regular expression"
    return None


def import_catalogue(*, program_id: int, catalogue: Catalogue, by: str, now: datetime) -> dict[str, list[str]]:
    """Create and update event types; answers the names `created`, `updated` and `unchanged`.

    What the file leaves out is left as it is: retire it by its status. Raises Invalid `unknown_purpose`, Conflict
    `purpose_fixed`, since events already stored were collected for the purpose they name.
    """
    with tenant(program_id):
        purposes = {purpose.code: purpose for purpose in Purpose.objects.filter(program_id=program_id)}
        # The lock keeps two imports from interleaving; the rows are few.
        held = {row.name: row for row in EventType.objects.select_for_update().filter(program_id=program_id)}
        done: dict[str, list[str]] = {"created": [], "updated": [], "unchanged": []}
        for name, declaration in catalogue.events.items():
            purpose = purposes.get(declaration.purpose)
            if purpose is None:
                raise Invalid("unknown_purpose", f"events.{name}: publish a notice that tells of {declaration.purpose}")
            done[_put(program_id, name, declaration, purpose, held.get(name), now)].append(name)
        counts = {outcome: len(names) for outcome, names in done.items()}
        audit(program_id=program_id, actor=by, action="catalogue.imported", target="catalogue", details=counts)
        return done


def _put(
    program_id: int, name: str, declaration: Declaration, purpose: Purpose, row: EventType | None, now: datetime
) -> str:
    fields: dict[str, Any] = {
        "description": declaration.description,
        "status": declaration.status,
        "categories": sorted(set(declaration.categories)),
        "properties": msgspec.to_builtins(declaration.properties),
    }
    if row is None:
        EventType.objects.create(program_id=program_id, name=name, purpose=purpose, updated_at=now, **fields)
        return "created"
    if row.purpose_id != purpose.id:
        raise Conflict("purpose_fixed", f"events.{name}: an event's purpose is fixed; take a new name")
    if all(getattr(row, field) == value for field, value in fields.items()):
        return "unchanged"
    for field, value in fields.items():
        setattr(row, field, value)
    row.version += 1
    row.updated_at = now
    row.save()
    return "updated"


def export_catalogue(program_id: int) -> Catalogue:
    """The catalogue as it stands, in the order of names."""
    rows = EventType.objects.filter(program_id=program_id).select_related("purpose").order_by("name")
    return Catalogue(
        {
            row.name: msgspec.convert(
                {
                    "purpose": row.purpose.code,
                    "categories": row.categories,
                    "description": row.description,
                    "status": row.status,
                    "properties": row.properties,
                },
                Declaration,
            )
            for row in rows
        }
    )
