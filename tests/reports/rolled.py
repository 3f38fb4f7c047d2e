"""Rollups in tests: built as the worker builds them, and compared with the events they come from."""

from collections.abc import Iterable
from datetime import date
from typing import Any
from zoneinfo import ZoneInfo

from pyroaring import BitMap64

from consent.programs.tenancy import tenant
from reports.models import RollupEvents
from reports.rollups import days as stored
from reports.rollups.build import build, computed, differs
from reports.rollups.contribution import Parts, everybody, of_each, united, whole, without
from tests.cast import Program, now
from tests.reports.events import History


def roll(program: Program, days: Iterable[date], *, anew: bool = False) -> list[bool]:
    """Build days, closed or not. Call it as the worker."""
    zone = ZoneInfo(program.zone)
    return [build(program.id, zone, day, now=now(), anew=anew) for day in days]


def held(program: Program, day: date) -> Parts | None:
    """A day's rollup; None where there is none that is clean."""
    with tenant(program.id):
        if day not in stored.clean_days(program.id, ZoneInfo(program.zone), day, day):
            return None
        return stored.parts(program.id, day)


def rebuilt(program: Program, day: date) -> Parts:
    """What its events come to."""
    with tenant(program.id):
        return computed(program.id, ZoneInfo(program.zone), day)


def left(program: Program, day: date, subjects: Iterable[int]) -> Parts | None:
    """A day's rollup without what these subjects' events come to, as far as they are in it; None where there is none that is
    clean."""
    found = held(program, day)
    if found is None:
        return None
    there = everybody(united(found)) & BitMap64(subjects)
    with tenant(program.id):
        for _, (kind, key), number, who in of_each(whole(program.id, ZoneInfo(program.zone), day, day), there):
            of = (kind, key, stored.shard_of(who))
            found[of] = without(found[of], number, BitMap64([who]))
    return {of: tally for of, tally in found.items() if tally.number}


def packed_of(program: Program, subject_id: int | None = None) -> list[tuple[Any, ...]]:
    """The packed events of a subject, or of all."""
    with tenant(program.id):
        rows = RollupEvents.objects.filter(program_id=program.id).order_by("day", "subject_id")
        found = rows if subject_id is None else rows.filter(subject_id=subject_id)
        columns = ("day", "subject_id", "events", "ids", "numbers", "elements", "contexts")
        return [tuple(row) for row in found.values_list(*columns)]


def wrong(program: Program, days: Iterable[date]) -> list[date]:
    return [day for day in days if differs(program.id, ZoneInfo(program.zone), day)]


def note_late(history: History, day: date) -> None:
    """What ingest writes of a batch with events of a closed day."""
    history.owner.execute(
        "INSERT INTO day_change (program_id, day, slot, changes) VALUES (%s, %s, 0, 1)"
        " ON CONFLICT (program_id, day, slot) DO UPDATE SET changes = day_change.changes + 1",
        [history.program.id, day],
    )
