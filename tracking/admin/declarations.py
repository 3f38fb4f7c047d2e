"""A declaration of an event in officers' words: its properties as rows of a table, and what a version changed."""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import msgspec
from django.utils.translation import gettext

from consent.rights.classification import kind_in_words
from tracking.catalogue import LONGEST, Property
from tracking.differences import Change, changes
from tracking.models import EventStatus, EventTypeVersion


@dataclass(frozen=True)
class Row:
    """A property as the table shows it. `grade`: 1 to 4."""

    name: str
    type: str
    bound: str
    required: bool
    classification: str
    grade: int
    description: str


@dataclass(frozen=True)
class Shown:
    """A version, what it said, and what it changed of the one before; no `changes` where there is none to compare."""

    version: int
    at: datetime
    actor: str
    status: str
    description: str
    rows: list[Row]
    changes: list[tuple[str, str]]


def translated(text: str) -> str:
    """What docs/examples/catalogue.yaml says is said in the reader's language, anything else as it was written."""
    return gettext(text) if text else ""


def rows(properties: Mapping[str, Any]) -> list[Row]:
    """In order of names."""
    return [_row(name, msgspec.convert(declared, Property)) for name, declared in sorted(properties.items())]


def _row(name: str, declared: Property) -> Row:
    return Row(
        name=name,
        type=declared.type,
        bound=_bound(declared),
        required=declared.required,
        classification=kind_in_words(declared.classification),
        grade=declared.grade,
        description=translated(declared.description),
    )


def _bound(declared: Property) -> str:
    said = []
    if declared.enum is not None:
        said.append(gettext("one of %(values)s") % {"values": ", ".join(declared.enum)})
    if declared.pattern is not None:
        said.append(gettext("pattern %(pattern)s") % {"pattern": declared.pattern})
    if declared.type in ("string", "opaque_id") and declared.enum is None:
        said.append(gettext("at most %(length)d characters") % {"length": declared.max_length or LONGEST})
    return "; ".join(said)


def shown(versions: Sequence[EventTypeVersion], most: int) -> Iterator[Shown]:
    """`versions` from the newest on; where there are more than `most`, the one after them is only compared to."""
    kept = versions[: most + 1]
    before: Sequence[EventTypeVersion | None] = [*kept[1:], None]
    for version, earlier in zip(kept[:most], before, strict=False):
        said = version.declaration
        yield Shown(
            version=version.version,
            at=version.at,
            actor=version.actor,
            status=str(EventStatus(said["status"]).label),
            description=translated(said["description"]),
            rows=rows(said["properties"]),
            changes=[] if earlier is None else [_change(one) for one in changes(earlier.declaration, said)],
        )


def _change(change: Change) -> tuple[str, str]:
    """(place, what became of it)."""
    if change.before is None:
        return change.at, gettext("added %(value)s") % {"value": _plain(change.after)}
    if change.after is None:
        return change.at, gettext("removed %(value)s") % {"value": _plain(change.before)}
    return change.at, f"{_plain(change.before)} → {_plain(change.after)}"


def _plain(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False)
