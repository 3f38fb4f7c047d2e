"""A catalogue as YAML text, and what differs between two."""

from dataclasses import dataclass

import msgspec
import yaml

from tracking.catalogue import Catalogue, Declaration


def dump(catalogue: Catalogue) -> str:
    """YAML that `tracking.catalogue.parse` reads back to the same catalogue; events and properties in order of names."""
    events = {
        name: msgspec.to_builtins(declaration, order="sorted") for name, declaration in sorted(catalogue.events.items())
    }
    return yaml.safe_dump({"events": events}, allow_unicode=True, sort_keys=False, width=120)


@dataclass(frozen=True)
class Difference:
    """Event names by what an import of the file would do: `removed` stand in the service only, and would stay."""

    added: list[str]
    changed: dict[str, list[str]]
    removed: list[str]

    def __bool__(self) -> bool:
        return bool(self.added or self.changed or self.removed)


def compare(held: Catalogue, wanted: Catalogue) -> Difference:
    """What a file (`wanted`) says otherwise than the service (`held`); `changed` names the fields."""
    return Difference(
        added=sorted(wanted.events.keys() - held.events.keys()),
        changed={
            name: fields
            for name in sorted(wanted.events.keys() & held.events.keys())
            if (fields := _fields(held.events[name], wanted.events[name]))
        },
        removed=sorted(held.events.keys() - wanted.events.keys()),
    )


def _fields(held: Declaration, wanted: Declaration) -> list[str]:
    found = [name for name in ("purpose", "description", "status") if getattr(held, name) != getattr(wanted, name)]
    if set(held.categories) != set(wanted.categories):
        found.append("categories")
    names = sorted(held.properties.keys() | wanted.properties.keys())
    return found + [f"properties.{name}" for name in names if held.properties.get(name) != wanted.properties.get(name)]
