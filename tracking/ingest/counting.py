"""Counts what became of a batch's events, and on how many subjects that rests: by hour, type and answer, never by whom.

A counter (IngestCount) holds no name, value, identifier or subject. So that a report can tell whether k people are
behind a figure, each process remembers in memory, until the local day is over, up to MAX_SUBJECTS subjects of each cell
and writes how many they are. That is a lower bound: other processes have seen others, and a subject that the service
does not know counts once however many kinds of identifiers it is named by.
"""

import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time, timedelta
from itertools import islice
from zoneinfo import ZoneInfo

import msgspec

from consent.programs.tenancy import role, tenant
from consent.statements import Json, ask
from tracking.codes import RETRY
from tracking.ingest.changes import note_late
from tracking.ingest.gate import Candidate
from tracking.ingest.outcome import Outcome
from tracking.ingest.parse import Batch, Read
from tracking.ingest.screen import Compiled
from tracking.models import SLOTS, UNKNOWN_TYPE, Answer, IngestCount

CLOSES_AFTER = timedelta(hours=48)
"""How long after its end a local day's figures are still open: what comes later is late."""

MAX_SUBJECTS = 128
MAX_CELLS = 5_000
"""What one process remembers at most: some 100 MB."""

# Each look at a choice's value takes as long as the rest of counting an event.
_ACCEPTED, _LATE, _DUPLICATE = Answer.ACCEPTED.value, Answer.LATE.value, Answer.DUPLICATE.value
_REFUSED = Answer.REFUSED.value

Cell = tuple[int, str, str]
"""(event type's id, answer, code of a refusal or empty)"""
People = dict[str, set[int]]
"""Subjects: "" -> their ids; of those unknown to the service, a kind of identifier -> hashes that hold in this process."""

_UPSERT = """
    INSERT INTO ingest_count
        (program_id, hour, type_id, answer, code, slot, events, day_subjects)
    SELECT %s, %s, type_id, answer, code, %s, events, day_subjects
    FROM json_to_recordset(%s) AS counted(type_id bigint, answer text, code text, events bigint, day_subjects int)
    ORDER BY type_id, answer, code
    ON CONFLICT (program_id, hour, type_id, answer, code, slot) DO UPDATE
        SET events = ingest_count.events + excluded.events,
            day_subjects = greatest(ingest_count.day_subjects, excluded.day_subjects)
"""


class _Row(msgspec.Struct):
    """A counter as _UPSERT takes it."""

    type_id: int
    answer: str
    code: str
    events: int
    day_subjects: int


_json = msgspec.json.Encoder()


@dataclass(slots=True)
class Tally:
    """`subjects`: nobody's any more where as many are known already as are ever told."""

    full: bool
    events: int = 0
    subjects: People = field(default_factory=dict)


@dataclass(slots=True)
class _Day:
    """The local day a mini-program's subjects are remembered for."""

    day: date
    cells: dict[Cell, People] = field(default_factory=dict)


_days: dict[int, _Day] = {}
"""By mini-program. In memory only; a process that ends forgets, and the bounds it has written stay true."""


class Counting:
    """One batch, ready to be counted whatever becomes of it. `zone`: the mini-program's."""

    def __init__(
        self,
        program_id: int,
        zone: ZoneInfo,
        received_at: datetime,
        batch: Batch,
        types: Mapping[str, Compiled],
        candidates: Iterable[Candidate],
    ) -> None:
        closed = closed_before(received_at, zone)
        self._program_id = program_id
        self._zone = zone
        self._hour = local_hour(received_at, zone)
        self._day = received_at.astimezone(zone).date()
        self._types = {name: event_type.id for name, event_type in types.items()}
        self._read = batch.read
        self._late = {item.read.place: item.corrected_at for item in candidates if item.corrected_at < closed}
        self._known = {item.read.place: item.subject_id for item in candidates}

    def write(self, outcome: Outcome) -> dict[Cell, Tally]:
        """Add to the counters; the last statements of the batch's transaction. `remember` the answer once it has committed.

        Rows go in the order of their keys, so that two batches wait for each other and never deadlock.
        """
        if self._late:
            stored = (at for place, at in self._late.items() if outcome.stored.get(place))
            note_late(self._program_id, self._zone, slot(), stored)
        known = _day(self._program_id, self._day).cells
        tallies = self._tallied(outcome, known)
        if tallies:
            rows = [
                _Row(*cell, tally.events, MAX_SUBJECTS if tally.full else _bound(known.get(cell, {}), tally.subjects))
                for cell, tally in tallies.items()
            ]
            ask(_UPSERT, [self._program_id, self._hour, slot(), Json(_json.encode(rows))])
        return tallies

    def remember(self, tallies: Mapping[Cell, Tally]) -> None:
        """Only after the commit: who was rolled back with a batch has not been counted."""
        known = _day(self._program_id, self._day).cells
        for cell, tally in tallies.items():
            if cell not in known and sum(len(day.cells) for day in list(_days.values())) >= MAX_CELLS:
                _days.clear()
                return
            people = known.setdefault(cell, {})
            for kind, subjects in tally.subjects.items():
                held = people.setdefault(kind, set())
                held.update(islice(subjects - held, max(0, MAX_SUBJECTS - len(held))))

    def _tallied(self, outcome: Outcome, known: Mapping[Cell, People]) -> dict[Cell, Tally]:
        """Of answers that are final: what is to be sent again is counted when it comes again."""
        tallies: dict[Cell, Tally] = {}
        refused, stored, late, types = outcome.refused, outcome.stored, self._late, self._types
        for place, read in enumerate(self._read):
            type_id = UNKNOWN_TYPE if read is None else types.get(read.sent.name, UNKNOWN_TYPE)
            if (refusal := refused.get(place)) is None:
                answer = _DUPLICATE if not stored[place] else _LATE if place in late else _ACCEPTED
                cell = (type_id, answer, "")
            elif refusal.code in RETRY:
                continue
            else:
                cell = (type_id, _REFUSED, refusal.code)
            if (tally := tallies.get(cell)) is None:
                tally = tallies[cell] = Tally(_bound(known.get(cell, {}), {}) == MAX_SUBJECTS)
            tally.events += 1
            if not tally.full and read is not None:
                kind, subject = self._who(read)
                tally.subjects.setdefault(kind, set()).add(subject)
        return tallies

    def _who(self, read: Read) -> tuple[str, int]:
        """Of an unknown one the first of the kinds it is named by. Python's hash is keyed anew in each process and leads
        back to nothing."""
        if (subject_id := self._known.get(read.place)) is not None:
            return "", subject_id
        kind, value = read.named[0]
        return kind, hash(value)


def forget_counters(program_id: int, *, before: datetime) -> int:
    """Delete the counters of hours that began before; answers how many rows. Needs the worker's login."""
    with tenant(program_id), role("zq_erase"):
        return IngestCount.objects.filter(program_id=program_id, hour__lt=before).delete()[0]


def slot() -> int:
    """This process's own on a machine, as good as; where two share one, their batches queue for its rows."""
    return os.getpid() % SLOTS


def _bound(known: People, more: People) -> int:
    """How many people these are at least: one may be named by several kinds, and no two by the same of one kind."""
    # Lists, since another thread may be adding to what is known.
    kinds = [len(subjects | more.get(kind, set())) for kind, subjects in list(known.items())]
    return min(max([*kinds, *(len(subjects) for subjects in more.values())], default=0), MAX_SUBJECTS)


def local_hour(moment: datetime, zone: ZoneInfo) -> datetime:
    """The instant at which the zone's clock last showed a full hour.

    So no hour lies in two local days, in zones of half and quarter hours either.
    """
    local = moment.astimezone(zone)
    return moment - timedelta(minutes=local.minute, seconds=local.second, microseconds=local.microsecond)


def closed_before(moment: datetime, zone: ZoneInfo) -> datetime:
    """The midnight before which all local days are closed: they ended CLOSES_AFTER or more before the moment."""
    open_since = (moment - CLOSES_AFTER).astimezone(zone).date()
    return datetime.combine(open_since, time.min, tzinfo=zone).astimezone(UTC)


def _day(program_id: int, day: date) -> _Day:
    """What is remembered for the day; at its beginning everybody of days before is forgotten, of all mini-programs."""
    found = _days.get(program_id)
    if found is None or found.day != day:
        # Zones are a day apart at most.
        for other in [key for key, of in list(_days.items()) if of.day < day - timedelta(days=1)]:
            _days.pop(other, None)
        found = _days[program_id] = _Day(day)
    return found
