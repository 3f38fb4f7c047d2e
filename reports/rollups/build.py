"""Building closed days: each in a transaction of its own, under the lock of its row.

A builder that is killed leaves a day as it was; of two at once the second finds it done.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from zoneinfo import ZoneInfo

from django.db.models import Max

from consent.notices.models import NoticePurpose
from consent.programs.tenancy import tenant
from consent.statements import ask
from reports.metrics.calendar import DAY, dates
from reports.rollups import days as stored
from reports.rollups import packed
from reports.rollups.contribution import KEPT, STORED, Days, Parts, everybody, parts, united, whole
from tracking.ingest.counting import closed_before
from tracking.partitions import attached_days

SETTLED_AFTER = timedelta(minutes=10)
"""No batch takes this long: what came before a day closed can be seen then. What comes later is noted as late."""

MEMORY = "64MB"
"""For each sort and hash of a day's events: on the disk they take a quarter longer."""


@dataclass(frozen=True)
class Span:
    """The local days of a mini-program that may have a rollup; none where `last` is before `first`."""

    first: date
    last: date

    def within(self, first: date | None, last: date | None) -> "Span":
        return Span(max(self.first, first or self.first), min(self.last, last or self.last))

    def __iter__(self) -> Iterator[date]:
        return dates(self.first, self.last)


def buildable(program_id: int, zone: ZoneInfo, now: datetime) -> Span:
    """From the first day that rests on no event whose retention can be over, and there is a partition, to the last closed one."""
    with tenant(program_id):
        attached = attached_days()
        kept_from = first_whole(program_id, now.date())
    last = closed_before(now - SETTLED_AFTER, zone).astimezone(zone).date() - DAY
    return Span(max(attached[0] - 2 * DAY, kept_from), last) if attached else Span(last, last - DAY)


def first_kept(program_id: int, today: date) -> date:
    """Before this local day retention takes whole days of events. Under the tenant."""
    longest = NoticePurpose.objects.filter(program_id=program_id).aggregate(days=Max("retention_days"))["days"] or 0
    return today - timedelta(days=longest) + 2 * DAY


def first_whole(program_id: int, today: date) -> date:
    """Before this local day a rollup would rest on events that retention takes with their whole day, and nobody would put it
    right: another mini-program's purge may take it too. A day more, for purges of two days. Under the tenant."""
    return first_kept(program_id, today) + (stored.RESTS_ON + 1) * DAY


def to_build(program_id: int, zone: ZoneInfo, span: Span) -> list[date]:
    """Those that have none, or one that is out of date or lacks the packed events; the newest first."""
    with tenant(program_id):
        there = stored.packed_days(program_id, zone, span.first, span.last)
    return [day for day in reversed(list(span)) if day not in there]


def build(program_id: int, zone: ZoneInfo, day: date, *, now: datetime, anew: bool = False) -> bool:
    """Answers whether there was anything to do. `anew`: also where the day is clean. As the worker."""
    with tenant(program_id):
        stored.make(program_id, [day])
    with tenant(program_id):
        there = stored.locked(program_id, [day])
        if not anew and there and there[0].clean and there[0].packed and there[0].zone == zone.key:
            return False
        ask(f"SET LOCAL work_mem = '{MEMORY}'")
        seen = stored.changes(program_id, day)
        found = computed(program_id, zone, day)
        stored.write(program_id, day, zone, found, seen=seen, now=now)
        # Few subjects are named, the planner thinks, and would look up the type of each event.
        ask("SET LOCAL enable_nestloop = off")
        # Of whom the tallies hold, whatever became of somebody meanwhile.
        packed.put(Days(program_id, zone, day, day), everybody(united(found)), chosen=[day])
    return True


def computed(program_id: int, zone: ZoneInfo, day: date) -> Parts:
    """What a rebuild would store. Under the tenant."""
    return parts(whole(program_id, zone, day, day), KEPT).get(day, {})


def differs(program_id: int, zone: ZoneInfo, day: date) -> bool:
    """Whether a clean day's rollup is not what the stored events of its subjects come to, or somebody is missing in it.

    Whose data were restricted since it was built, or are about to be erased, is in it and counts nowhere.
    """
    with tenant(program_id):
        # Nobody has told the planner how many subjects are named: few, it thinks, and compares each event with each.
        ask("SET LOCAL enable_nestloop = off")
        # Under the lock, so that nothing changes in between.
        there = stored.locked(program_id, [day])
        if not there or not there[0].clean:
            return False
        held = stored.parts(program_id, day)
        subjects = everybody(united(held))
        expected = parts(whole(program_id, zone, day, day), STORED, of=subjects).get(day, {})
        missing = everybody(united(computed(program_id, zone, day))) - subjects
        if missing or held != expected:
            return True
        return there[0].packed and packed.differ(Days(program_id, zone, day, day), subjects)
