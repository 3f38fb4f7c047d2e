"""What one declaration of an event says otherwise than another, place by place."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

PROPERTIES = "properties"
DEFAULTS = {"required": False, "classification": "behaviour", "grade": 3, "description": ""}
"""Of a property's fields, which are left out where they say nothing else (tracking.catalogue.Property)."""


@dataclass(frozen=True)
class Change:
    """`at`: `description`, `properties.NAME`, `properties.NAME.max_length`. None where one of the two says nothing."""

    at: str
    before: Any
    after: Any


def changes(before: Mapping[str, Any], after: Mapping[str, Any]) -> list[Change]:
    """Between two declarations as the versions keep them (tracking.models.EventTypeVersion).

    A property that is new or gone is one change; of one that stays, each of its fields.
    """
    told = _fields("", _without(before), _without(after))
    held, wanted = before.get(PROPERTIES, {}), after.get(PROPERTIES, {})
    for name in sorted(held.keys() | wanted.keys()):
        place = f"{PROPERTIES}.{name}"
        if name in held and name in wanted:
            told += _fields(f"{place}.", DEFAULTS | held[name], DEFAULTS | wanted[name])
        else:
            told.append(Change(place, held.get(name), wanted.get(name)))
    return told


def _without(declaration: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in declaration.items() if name != PROPERTIES}


def _fields(place: str, before: Mapping[str, Any], after: Mapping[str, Any]) -> list[Change]:
    return [
        Change(place + name, before.get(name), after.get(name))
        for name in sorted(before.keys() | after.keys())
        if before.get(name) != after.get(name)
    ]
