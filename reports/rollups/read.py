"""What standing subjects did on local days: from the clean days' rollups, and from the events where there is none.

A rollup holds everybody whose events are stored. Whoever of them does not count now, or not with all their events
(reports.metrics.standing), is taken out of it by what their events come to, and answered from the events instead.
"""

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import date, datetime
from itertools import groupby
from zoneinfo import ZoneInfo

from pyroaring import BitMap64

from consent.statements import ask
from reports.metrics.calendar import DAY, dates
from reports.rollups import days as stored
from reports.rollups.build import first_kept, first_whole
from reports.rollups.contribution import (
    SESSIONS,
    STANDING,
    Days,
    Tallies,
    active,
    contribution,
    everybody,
    of_each,
    without,
)
from tracking.models import EventSweep, EventType
from tracking.partitions import attached_days

# By purpose, None for all of them: whose consent does not stand, for whom a withdrawal's erasure is open, who is
# restricted or about to be erased: by partial indexes. Most never had an event under the purpose, and are in no rollup of it;
# they may be more than memory is for, and so are asked for by ranges of ids.
_EXCEPTED = """
    SELECT purpose_id, array_agg(subject_id) FROM (
        SELECT purpose_id, subject_id FROM consent_state
        WHERE program_id = %(program)s AND subject_id BETWEEN %(first)s AND %(last)s
          AND (state NOT IN ('given', 'renewed') OR guardian_pending)
          AND purpose_id IN (SELECT purpose_id FROM event_type WHERE program_id = %(program)s)
        UNION ALL
        SELECT purpose_id, subject_id FROM purpose_erasure
        WHERE program_id = %(program)s AND subject_id BETWEEN %(first)s AND %(last)s
          AND done_at IS NULL AND kept_days IS NULL
        UNION ALL
        SELECT NULL, subject_id FROM subject
        WHERE program_id = %(program)s AND subject_id BETWEEN %(first)s AND %(last)s AND (restricted OR erasure_pending)
    ) AS excepted
    GROUP BY purpose_id
"""
IDS_AT_ONCE = 1 << 18

FEW = 10
"""So many days read from their events are no reason to have the database count a report from all of its events."""


LEFT = 7 * DAY
"""So many days' events may be there yet beside those of the first day kept: by what clocks, or of a purpose that has ended
since the purge before."""


def mostly_held(program_id: int, zone: ZoneInfo, first: date, last: date, *, as_of: datetime) -> bool:
    """Whether rollups answer for these days, but for a few that are not closed or not built, and those too old for one or for
    any event."""
    attached = attached_days()
    if not attached:
        return False
    first = max(first, first_whole(program_id, as_of.date()), attached[0] - 2 * DAY)
    clean = len(stored.clean_days(program_id, zone, first, last))
    return clean > 0 and (last - first).days + 1 <= clean + FEW


def with_events(program_id: int, first: date, last: date, *, as_of: datetime) -> tuple[date, date] | None:
    """What of a range of local days can have events at as-of, by the partitions and by what the last purge has left; None
    where there are none."""
    attached = attached_days()
    if not attached:
        return None
    begins = attached[0] - 2 * DAY
    # Partitions are everybody's: another mini-program may keep its events for longer.
    for swept in EventSweep.objects.filter(program_id=program_id):
        begins = max(begins, first_kept(program_id, swept.swept_to.date()) - LEFT)
    return max(first, begins), min(last, attached[-1] + 2 * DAY, as_of.date() + 2 * DAY)


def who_was_there(program_id: int, zone: ZoneInfo, first: date, last: date) -> BitMap64:
    """Everybody in the rollups of a range, whether they count or not; whom only events tell of is missing."""
    return BitMap64().union(*map(everybody, stored.read(Days(program_id, zone, first, last)).values()))


@dataclass(frozen=True, slots=True)
class Held:
    """The days of a range whose packed events may be read, whose they are and how many, the most of one day, and those of the
    subjects who are answered from their events instead."""

    days: list[date]
    subjects: BitMap64
    number: int
    fullest: int
    excepted: BitMap64


NOTHING = Held([], BitMap64(), 0, 0, BitMap64())


def packed(program_id: int, zone: ZoneInfo, first: date, last: date) -> Held:
    """Under the tenant's transaction, of one snapshot."""
    days = sorted(stored.packed_days(program_id, zone, first, last))
    if not days:
        return NOTHING
    tallies = stored.read(Days(program_id, zone, days[0], days[-1]))
    came = {day: active(tallies[day]) for day in days}
    there = {day: tally.subjects for day, tally in came.items()}
    numbers = [tally.number for tally in came.values()]
    subjects = BitMap64().union(*there.values())
    return Held(days, subjects, sum(numbers), max(numbers), _excepted(program_id, there))


def standing(days: Days) -> dict[date, Tallies]:
    """By day, what counts; days on which nothing does may be missing. Under the tenant's transaction."""
    held = stored.read(days)
    found: dict[date, Tallies] = {}
    for first, last in stretches([day for day in dates(days.first, days.last) if day not in held]):
        found |= contribution(replace(days, first=first, last=last), STANDING)
    if held:
        found |= _from_rollups(replace(days, first=min(held), last=max(held)), held)
    return found


def stretches(days: Collection[date]) -> list[tuple[date, date]]:
    """Those that follow one another as one: its first and last day."""
    runs = groupby(enumerate(days), lambda item: item[1].toordinal() - item[0])
    found = [[day for _, day in run] for _, run in runs]
    return [(run[0], run[-1]) for run in found]


def _from_rollups(days: Days, held: Mapping[date, Tallies]) -> dict[date, Tallies]:
    found = {day: _wanted(days, day, tallies) for day, tallies in held.items()}
    there = {day: everybody(tallies) for day, tallies in held.items()}
    excepted = _excepted(days.program_id, there)
    if not excepted:
        return found
    for day, key, number, subject_id in of_each(days, excepted):
        if day in held and subject_id in there[day]:
            found[day][key] = without(found[day][key], number, BitMap64())
    for day, tallies in found.items():
        found[day] = {key: without(tally, 0, excepted) for key, tally in tallies.items()}
    for day, tallies in contribution(days, STANDING, of=excepted).items():
        for key, tally in tallies.items() if day in held else ():
            found[day][key] = found[day][key] + tally if key in found[day] else tally
    return {day: {key: tally for key, tally in of.items() if tally.number} for day, of in found.items()}


def _wanted(days: Days, day: date, tallies: Tallies) -> Tallies:
    """Without sessions of a day whose sessions nobody asks for: those of the excepted are not read for it."""
    with_sessions = days.sessions is not None and days.sessions[0] <= day <= days.sessions[1]
    return {key: tally for key, tally in tallies.items() if with_sessions or key != SESSIONS}


def _ranges(subjects: BitMap64) -> Iterator[int]:
    """Where each begins of the ranges of IDS_AT_ONCE ids that hold the subjects."""
    passed = 0
    while passed < len(subjects):
        first = subjects[passed]
        yield first
        passed = subjects.rank(first + IDS_AT_ONCE - 1)


def _excepted(program_id: int, there: Mapping[date, BitMap64]) -> BitMap64:
    """Of the subjects in the rollups of some days, those who are to be answered from their events."""
    by_purpose: dict[int | None, BitMap64] = {}
    subjects, found = BitMap64().union(*there.values()), BitMap64()
    for first in _ranges(subjects):
        asked = {"program": program_id, "first": first, "last": first + IDS_AT_ONCE - 1}
        for purpose_id, excepted in ask(_EXCEPTED, asked).rows():
            by_purpose[purpose_id] = by_purpose.get(purpose_id, BitMap64()) | BitMap64(excepted) & subjects
    for purpose_id, some in by_purpose.items():
        if some and purpose_id is not None:
            types = EventType.objects.filter(program_id=program_id, purpose_id=purpose_id).values_list("id", flat=True)
            some &= stored.with_types(program_id, there, list(types))
        found |= some
    return found
