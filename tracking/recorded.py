"""The event catalogue as the record of processing tells of it."""

from typing import Any

import msgspec

from tracking.catalogue import Property
from tracking.models import EventStatus, EventType


def events(program_id: int) -> list[dict[str, Any]]:
    """What may be recorded now, by name: purpose, categories, and each property with its class and grade."""
    types = EventType.objects.filter(program_id=program_id, status=EventStatus.ACTIVE).select_related("purpose")
    return [
        {
            "name": one.name,
            "purpose": one.purpose.code,
            "categories": one.categories,
            "version": one.version,
            "properties": [_property(name, declared) for name, declared in sorted(one.properties.items())],
        }
        for one in types.order_by("name")
    ]


def _property(name: str, declared: Any) -> dict[str, Any]:
    said = msgspec.convert(declared, Property)
    return {"name": name, "type": said.type, "classification": said.classification, "grade": said.grade}
