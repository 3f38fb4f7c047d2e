"""Notes which closed local days got events after all, so that what was computed of them is known to be out of date."""

from collections.abc import Collection, Iterable
from datetime import date, datetime
from zoneinfo import ZoneInfo

from consent.statements import ask

_NOTE = """
    INSERT INTO day_change (program_id, day, slot, changes)
    SELECT %s, day, %s, 1 FROM unnest(%s::date[]) AS late(day) ORDER BY day
    ON CONFLICT (program_id, day, slot) DO UPDATE SET changes = day_change.changes + 1
"""


def note_late(program_id: int, zone: ZoneInfo, slot: int, late: Iterable[datetime]) -> None:
    """One statement for a batch with late events, whatever their number, in the batch's transaction; none without any.

    Rows go in the order of their keys, as the counters' do.
    """
    note_changed(program_id, slot, {at.astimezone(zone).date() for at in late})


def note_changed(program_id: int, slot: int, days: Collection[date]) -> None:
    if days:
        ask(_NOTE, [program_id, slot, sorted(days)])
