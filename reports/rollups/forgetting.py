"""Taking events out of the rollups again: contribution(after) - contribution(before), in the transaction that deletes them.

Only on a clean day, under its lock; a day that is out of date is forgotten as a whole and built anew. Each day holds a
subject wholly or not at all: whom it does not hold it need not give back.
"""

from collections.abc import Collection, Iterator
from contextlib import contextmanager
from datetime import date
from zoneinfo import ZoneInfo

from consent.programs.models import MiniProgram
from reports.metrics.calendar import DAY
from reports.rollups import days as stored
from reports.rollups import packed
from reports.rollups.contribution import Days, Key, of_each, whole
from tracking.derived import Derived
from tracking.models import SubjectDay

Contributed = dict[date, dict[Key, int]]
"""Of one subject: day -> what -> how many."""


def take_out(program_id: int, subject_id: int, days: Collection[date]) -> int:
    """Take the subject out of these days wholly; answers of how many. As the worker."""
    zone = _zone(program_id)
    held = _held(program_id, zone, subject_id, days)
    _change(program_id, subject_id, held.clean, _contributed(program_id, zone, subject_id, held.clean), {})
    packed.take_out(program_id, subject_id, days)
    return len(days)


def held_on(program_id: int, subject_id: int) -> list[date]:
    """The days that keep anything of the subject: in their tallies, or packed, also where they are to be built again."""
    return sorted({*stored.holding(program_id, subject_id), *packed.holding(program_id, subject_id)})


def wait_for_builders(program_id: int, subject_id: int) -> None:
    """Nobody builds a day that may hold the subject until the transaction ends: one under way could hold them, unseen yet."""
    stored.locked(program_id, stored.resting_on(_sent(subject_id)))


def stands_again(program_id: int, subject_id: int) -> int:
    """A restriction was lifted, or an erasure taken back: days built meanwhile lack the subject. Answers how many.

    They wait for a builder, and until then are answered from their events. A caller waits for this: it waits for no builder.
    """
    sent = _sent(subject_id)
    if not sent:
        return 0
    asked = Days(program_id, _zone(program_id), min(sent) - 2 * DAY, max(sent) + 2 * DAY)
    theirs = {day for day, *_ in of_each(asked, [subject_id], sent=sent)}
    return stored.soil_lacking(program_id, theirs, subject_id)


class Rollups(Derived):
    @contextmanager
    def some_going(self, program_id: int, subject_id: int, days: list[date]) -> Iterator[None]:
        zone = _zone(program_id)
        resting = stored.resting_on(days)
        held = _held(program_id, zone, subject_id, resting)
        before = _contributed(program_id, zone, subject_id, held.clean)
        yield
        after = _contributed(program_id, zone, subject_id, held.clean)
        wrong = _change(program_id, subject_id, held.clean, before, after)
        # Also what was packed in another form, or on days that are to be built again.
        packed.take_out(program_id, subject_id, resting)
        stored.not_packed(program_id, set(held.clean) - held.packed)
        _pack(program_id, zone, subject_id, held.packed - wrong)

    @contextmanager
    def day_going(self, program_id: int, day: date) -> Iterator[list[int]]:
        # Locked before the events are, as everybody does.
        there = stored.locked(program_id, stored.resting_on([day]))
        gone: list[int] = []
        yield gone
        if sum(gone):
            going = [each.day for each in there]
            stored.forget(program_id, going)
            packed.clear(program_id, going)


class _Holding:
    """The days that hold a subject: those that can be changed, those of them whose events are packed, and those that had to be
    forgotten."""

    def __init__(self, clean: list[date], packed: set[date], forgotten: list[date]) -> None:
        self.clean = clean
        self.packed = packed
        self.forgotten = forgotten


def _held(program_id: int, zone: ZoneInfo, subject_id: int, days: Collection[date]) -> _Holding:
    held = [day for day in stored.locked(program_id, days, asking=subject_id) if day.holds]
    clean = [day.day for day in held if day.clean and day.zone == zone.key]
    forgotten = [day.day for day in held if not (day.clean and day.zone == zone.key)]
    if forgotten:
        stored.forget(program_id, forgotten)
    return _Holding(clean, {day.day for day in held if day.packed}.intersection(clean), forgotten)


def _zone(program_id: int) -> ZoneInfo:
    return ZoneInfo(MiniProgram.objects.values_list("zone", flat=True).get(id=program_id))


def _sent(subject_id: int) -> list[date]:
    """The UTC dates on which the subject has events, or had."""
    return list(SubjectDay.objects.filter(subject_id=subject_id).values_list("day", flat=True))


def _contributed(program_id: int, zone: ZoneInfo, subject_id: int, days: Collection[date]) -> Contributed:
    """What the subject's stored events come to, on these days and on what lies between them."""
    found: Contributed = {}
    if days:
        asked = whole(program_id, zone, min(days), max(days))
        for day, key, number, _ in of_each(asked, [subject_id], sent=_sent(subject_id)):
            found.setdefault(day, {})[key] = number
    return found


def _pack(program_id: int, zone: ZoneInfo, subject_id: int, days: Collection[date]) -> None:
    """What is left of the subject's events on these days, of which nothing is packed any more."""
    if days:
        around = Days(program_id, zone, min(days), max(days))
        packed.put(around, [subject_id], chosen=days, sent=_sent(subject_id))


def _change(
    program_id: int, subject_id: int, days: Collection[date], before: Contributed, after: Contributed
) -> set[date]:
    """Put what the subject contributes after in the place of what it did before; answers the days that were forgotten."""
    # A day that holds somebody without events is wrong as one is whose tallies do not hold what is to go: whatever went
    # wrong, nothing of them may stay.
    wrong = set(days) - before.keys()
    changed: dict[tuple[date, Key], stored.Change] = {}
    for day in set(days) - wrong:
        was, will_be = before[day], after.get(day, {})
        for key in was.keys() | will_be.keys():
            if was.get(key) != will_be.get(key):
                changed[day, key] = (will_be.get(key, 0) - was.get(key, 0), key in will_be)
    if changed:
        wrong |= stored.change(program_id, subject_id, changed)
    if wrong:
        stored.forget(program_id, wrong)
    return wrong
