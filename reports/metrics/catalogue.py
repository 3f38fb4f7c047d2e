"""The events that a question names, in the catalogue."""

from collections.abc import Mapping
from datetime import date

from consent.errors import Fault, Invalid
from reports.metrics.tallies import Tallied
from reports.models import RollupKind
from reports.privacy.figures import Value
from reports.rollups.contribution import Tallies
from tracking.models import EventType


def type_ids(program_id: int, named: Mapping[str, str | None]) -> dict[str, int]:
    """Name -> id, of names by the pointer at which they were asked; None is left out. Raises Invalid `unknown_event`."""
    names = {name for name in named.values() if name is not None}
    found = dict(EventType.objects.filter(program_id=program_id, name__in=names).values_list("name", "id"))
    faults = [
        Fault("unknown_event", "name an event of the catalogue", pointer)
        for pointer, name in named.items()
        if name is not None and name not in found
    ]
    if faults:
        raise Invalid(faults[0].code, faults[0].detail, faults)
    return found


def by_name(program_id: int, days: Mapping[date, Tallies]) -> dict[date, dict[Value, Tallied]]:
    """By day, the events of each type that occurs."""
    names = dict(EventType.objects.filter(program_id=program_id).values_list("id", "name"))
    return {
        day: {
            names[key]: Tallied("events", tally.number, tally.subjects)
            for (kind, key), tally in tallies.items()
            if kind == RollupKind.EVENT
        }
        for day, tallies in days.items()
    }
