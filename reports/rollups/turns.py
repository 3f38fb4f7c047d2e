"""Whose turn it is to be built, where workers do it: one day at a time, and by one worker.

A try is written down before it begins, since whoever is killed in it can no more: a day whose last try came to nothing
waits, and then behind all others.
"""

from datetime import date, datetime, timedelta
from zoneinfo import ZoneInfo

from django.db import connection

from consent.programs.tenancy import tenant
from reports.models import RollupDay
from reports.rollups import days as stored
from reports.rollups.build import build, buildable, to_build

AGAIN_AFTER = timedelta(hours=1)


class Taken(Exception):
    """Another worker is building."""


def due(program_id: int, zone: ZoneInfo, now: datetime) -> list[date]:
    """The days to build, newest first; behind them those whose last try came to nothing and is an hour ago."""
    days = to_build(program_id, zone, buildable(program_id, zone, now))
    with tenant(program_id):
        tries = RollupDay.objects.filter(program_id=program_id, day__in=days).values_list("day", "tried_at")
        tried = {day: tried_at for day, tried_at in tries if tried_at is not None}
    again = sorted((day for day in tried if tried[day] <= now - AGAIN_AFTER), key=tried.__getitem__)
    return [day for day in days if day not in tried] + again


def build_in_turn(program_id: int, zone: ZoneInfo, day: date, *, now: datetime, seconds: int) -> bool:
    """Build a day, with so much time for its events to be counted; answers whether that was to do. As the worker.

    Passes over a day that somebody else builds or changes. Raises Taken, and OperationalError where the time was too short.
    """
    with tenant(program_id):
        _take_turn()
        if not stored.note_try(program_id, day, now):
            return False
    with tenant(program_id):
        _take_turn()
        with connection.cursor() as cursor:
            cursor.execute("SELECT set_config('statement_timeout', %s, true)", [f"{seconds}s"])
        return build(program_id, zone, day, now=now)


def _take_turn() -> None:
    """For the transaction, so that it ends with whoever has it."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_try_advisory_xact_lock(hashtextextended('build rollups', 0))")
        (mine,) = cursor.fetchone()
    if not mine:
        raise Taken
