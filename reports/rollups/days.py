"""A day's rollup as it is stored: locked, read, written, changed, forgotten. Under the tenant's transaction."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from pyroaring import BitMap64

from consent.programs.tenancy import role
from consent.statements import ask, together
from reports.columns.packed import LAYOUT
from reports.models import Rollup, RollupDay, RollupEvents, RollupKind
from reports.rollups.contribution import NOBODY, SHARD_BITS, Days, Key, Parts, Tallies, Tally, united
from tracking.ingest.changes import note_changed
from tracking.models import OF_ITSELF

RESTS_ON = 4
"""Local days before a day whose events it may rest on: its sessions look back 72 h (reports.metrics.session)."""

_CHANGES = f"""
    (SELECT coalesce(sum(c.changes), 0) FROM day_change c
     WHERE c.program_id = r.program_id AND c.day BETWEEN r.day - {RESTS_ON} AND r.day
      AND (c.day = r.day OR c.slot <> {OF_ITSELF}))
"""
_MAKE = """
    INSERT INTO rollup_day (program_id, day, zone, changes)
    SELECT %s, day, '', -1 FROM unnest(%s::date[]) AS wanted(day) ORDER BY day
    ON CONFLICT DO NOTHING
"""
_NOTE_TRY = """
    UPDATE rollup_day r SET tried_at = %s
    FROM (SELECT program_id, day FROM rollup_day WHERE program_id = %s AND day = %s FOR NO KEY UPDATE SKIP LOCKED) AS free
    WHERE r.program_id = free.program_id AND r.day = free.day RETURNING 1
"""
_LOCK = "SELECT day FROM rollup_day WHERE program_id = %s AND day = ANY(%s::date[]) ORDER BY day FOR NO KEY UPDATE"
_LOCK_FREE = f"{_LOCK} SKIP LOCKED"
# Everybody of the shard on the day.
_THEIRS = f"""
    rollup u WHERE u.program_id = r.program_id AND u.day = r.day
    AND u.kind = '{RollupKind.SUBJECT.value}' AND u.shard = %(shard)s
"""
_STANDING_NOW = f"""
    SELECT r.day, r.zone, r.changes = {_CHANGES}, r.layout = {LAYOUT}, ARRAY(SELECT u.subjects FROM {_THEIRS}) FROM rollup_day r
    WHERE r.program_id = %(program)s AND r.day = ANY(%(days)s::date[]) AND r.built_at IS NOT NULL ORDER BY r.day
"""
_HOLDING = f"""
    SELECT r.day, ARRAY(SELECT u.subjects FROM {_THEIRS}) FROM rollup_day r
    WHERE r.program_id = %(program)s AND r.built_at IS NOT NULL ORDER BY r.day
"""
_CHANGES_NOW = f"SELECT {_CHANGES} FROM rollup_day r WHERE r.program_id = %s AND r.day = %s"
_CLEAN = f"""
    SELECT r.day FROM rollup_day r
    WHERE r.program_id = %s AND r.day BETWEEN %s AND %s AND r.zone = %s AND r.built_at IS NOT NULL
      AND r.changes = {_CHANGES}
"""
_PACKED = f"{_CLEAN} AND r.layout = {LAYOUT}"
_READ = f"""
    SELECT day, kind, key, shard, number, subjects FROM rollup
    WHERE program_id = %s AND day = ANY(%s::date[]) AND kind = ANY(%s)
      AND (kind <> '{RollupKind.EVENT.value}' OR %s::bigint[] IS NULL OR key = ANY(%s::bigint[]))
"""
_OF_TYPES = f"""
    SELECT subjects FROM rollup
    WHERE program_id = %s AND day = ANY(%s::date[]) AND kind = '{RollupKind.EVENT.value}' AND key = ANY(%s)
"""
_BY_TYPE = f"""
    SELECT day, key, subjects FROM rollup
    WHERE program_id = %s AND day = ANY(%s::date[]) AND kind = '{RollupKind.EVENT.value}' AND key = ANY(%s)
"""
_NUMBER = f"""
    SELECT coalesce(sum(number), 0)::bigint FROM rollup
    WHERE program_id = %s AND day = ANY(%s::date[]) AND kind = '{RollupKind.EVENT.value}' AND key = ANY(%s)
"""
_OF_SHARD = "SELECT day, kind, key, subjects FROM rollup WHERE program_id = %s AND day = ANY(%s::date[]) AND shard = %s"
_CHOSEN = "unnest(%s::date[], %s::text[], %s::bigint[]) AS chosen(day, kind, key)"
_READ_CHOSEN = f"""
    SELECT u.day, u.kind, u.key, u.number, u.subjects
    FROM {_CHOSEN} JOIN rollup u ON u.program_id = %s AND u.day = chosen.day AND u.kind = chosen.kind
     AND u.key = chosen.key AND u.shard = %s
"""
_PUT = """
    INSERT INTO rollup (program_id, day, kind, key, shard, number, subjects)
    SELECT %s, day, kind, key, %s, number, subjects
    FROM unnest(%s::date[], %s::text[], %s::bigint[], %s::bigint[], %b::bytea[]) AS put(day, kind, key, number, subjects)
    ORDER BY day, kind, key
    ON CONFLICT (program_id, day, kind, key, shard) DO UPDATE SET number = excluded.number, subjects = excluded.subjects
"""
_DELETE = f"""
    DELETE FROM rollup u USING {_CHOSEN}
    WHERE u.program_id = %s AND u.day = chosen.day AND u.kind = chosen.kind AND u.key = chosen.key AND u.shard = %s
"""

Change = tuple[int, bool]
"""Of a tally of a day: how many more there are, and whether the subject is in it from now on."""


@dataclass(frozen=True, slots=True)
class Built:
    """A day that has a rollup; one that is not clean may be wrong. `packed`: its events are there too; `holds`: whom was
    asked about."""

    day: date
    zone: str
    clean: bool
    packed: bool
    holds: bool


def resting_on(days: Iterable[date]) -> list[date]:
    """The local days, of any zone, whose rollups may rest on events of these UTC dates as sent."""
    return sorted({day + timedelta(days=n) for day in days for n in range(-2, 3 + RESTS_ON)})


def make(program_id: int, days: Collection[date]) -> None:
    """Rows of the days, to be locked. In a transaction of its own nobody waits for the one that builds to see them."""
    ask(_MAKE, [program_id, sorted(days)])


def note_try(program_id: int, day: date, now: datetime) -> bool:
    """Write down that a day is about to be built; False where somebody has it locked."""
    make(program_id, [day])
    return bool(ask(_NOTE_TRY, [now, program_id, day]).rows())


def locked(program_id: int, days: Collection[date], *, asking: int | None = None) -> list[Built]:
    """Nobody else changes these days, nor builds one, until the transaction ends; answers those that are built.

    What is not there yet is made, or a builder who makes it meanwhile would read events that are about to go. `asking`:
    a subject.
    """
    wanted = sorted(days)
    parameters = {"program": program_id, "days": wanted, "shard": None if asking is None else shard_of(asking)}
    with together():
        ask(_MAKE, [program_id, wanted])
        ask(_LOCK, [program_id, wanted])
        # A statement of its own, with a snapshot after the lock.
        answer = ask(_STANDING_NOW, parameters)
    return [
        Built(day, zone, clean, packed, _holds(theirs, asking)) for day, zone, clean, packed, theirs in answer.rows()
    ]


def holding(program_id: int, subject_id: int) -> list[date]:
    """The days whose rollups hold the subject."""
    rows = ask(_HOLDING, {"program": program_id, "shard": shard_of(subject_id)}).rows()
    return [day for day, theirs in rows if _holds(theirs, subject_id)]


def _holds(theirs: Iterable[bytes], subject_id: int | None) -> bool:
    return subject_id is not None and any(subject_id in bitmap(subjects) for subjects in theirs)


def keys_of(program_id: int, subject_id: int, days: Collection[date]) -> dict[date, list[Key]]:
    """What of these days' rollups holds the subject."""
    found: dict[date, list[Key]] = {}
    for day, kind, key, subjects in ask(_OF_SHARD, [program_id, sorted(days), shard_of(subject_id)]).rows():
        if _holds([subjects], subject_id):
            found.setdefault(day, []).append((kind, key))
    return found


def changes(program_id: int, day: date) -> int:
    """How often the days that a day rests on have changed. Its row must be there."""
    return int(ask(_CHANGES_NOW, [program_id, day]).rows()[0][0])


def clean_days(program_id: int, zone: ZoneInfo, first: date, last: date) -> set[date]:
    return {row[0] for row in ask(_CLEAN, [program_id, first, last, zone.key]).rows()}


def packed_days(program_id: int, zone: ZoneInfo, first: date, last: date) -> set[date]:
    """Those of the clean days whose events are packed."""
    return {row[0] for row in ask(_PACKED, [program_id, first, last, zone.key]).rows()}


def read(days: Days) -> dict[date, Tallies]:
    """What is wanted of the clean days of a range; a built day is there without a tally where nobody came."""
    clean = clean_days(days.program_id, days.zone, days.first, days.last)
    by_day: dict[date, Parts] = {day: {} for day in clean}
    for day, kind, key, shard, number, subjects in _rows(days.program_id, clean, days.kinds, days.types):
        by_day[day][kind, key, shard] = Tally(number, bitmap(subjects))
    return {day: united(found) for day, found in by_day.items()}


def with_types(program_id: int, days: Collection[date], types: Collection[int]) -> BitMap64:
    """Who has an event of one of these types on one of these days, by their rollups."""
    rows = ask(_OF_TYPES, [program_id, sorted(days), sorted(types)]).rows()
    return BitMap64().union(*(bitmap(subjects) for (subjects,) in rows))


def by_type(program_id: int, days: Collection[date], types: Collection[int]) -> dict[tuple[date, int], BitMap64]:
    """By day and type, who has an event of that type then; one that nobody has is missing."""
    found: dict[tuple[date, int], BitMap64] = {}
    for day, key, subjects in ask(_BY_TYPE, [program_id, sorted(days), sorted(types)]).rows():
        found[day, key] = found.get((day, key), BitMap64()) | bitmap(subjects)
    return found


def number_of(program_id: int, days: Collection[date], types: Collection[int]) -> int:
    """How many events of these types the days have, by their rollups."""
    return int(ask(_NUMBER, [program_id, sorted(days), sorted(types)]).rows()[0][0])


def parts(program_id: int, day: date) -> Parts:
    """A day's rollup as it is."""
    rows = _rows(program_id, [day], list(RollupKind), None)
    return {(kind, key, shard): Tally(number, bitmap(subjects)) for _, kind, key, shard, number, subjects in rows}


def _rows(
    program_id: int, days: Iterable[date], kinds: Iterable[RollupKind], types: Sequence[int] | None
) -> list[tuple[Any, ...]]:
    wanted = types if types is None else list(types)
    return ask(_READ, [program_id, sorted(days), [kind.value for kind in kinds], wanted, wanted]).rows()


def write(program_id: int, day: date, zone: ZoneInfo, found: Parts, *, seen: int, now: datetime) -> None:
    """Put a day's tallies in the place of any other rollup; its events are packed next (reports.rollups.packed). `seen`: its
    changes before its events were read. As the worker."""
    with role("zq_erase"):
        for kept in (Rollup, RollupEvents):
            kept.objects.filter(program_id=program_id, day=day).delete()
    Rollup.objects.bulk_create(
        Rollup(
            program_id=program_id,
            day=day,
            kind=kind,
            key=key,
            shard=shard,
            number=tally.number,
            subjects=stored(tally.subjects),
        )
        for (kind, key, shard), tally in sorted(found.items())
    )
    made = RollupDay.objects.filter(program_id=program_id, day=day)
    made.update(zone=zone.key, changes=seen, built_at=now, tried_at=None, layout=LAYOUT)


def change(program_id: int, subject_id: int, changed: Mapping[tuple[date, Key], Change]) -> set[date]:
    """Change what the tallies of days have of a subject; answers the days that turned out wrong, as they were.

    In few statements, whatever the number of days: one reads the tallies, one writes them, one deletes those of nobody.
    The days are locked. As the worker.
    """
    shard, who = shard_of(subject_id), BitMap64([subject_id])
    there: dict[tuple[date, Key], Tally] = {}
    for day, kind, key, number, subjects in ask(_READ_CHOSEN, [*_columns(changed), program_id, shard]).rows():
        there[day, (kind, key)] = Tally(number, bitmap(subjects))
    after: dict[tuple[date, Key], Tally] = {}
    for of, (more, stays) in changed.items():
        was = there.get(of, NOBODY)
        after[of] = Tally(was.number + more, was.subjects | who if stays else was.subjects - who)
    wrong = {day for (day, _), of in after.items() if of.number < 0 or bool(of.number) != bool(of.subjects)}
    right = {of: tally for of, tally in sorted(after.items()) if of[0] not in wrong}
    _put(program_id, shard, {of: tally for of, tally in right.items() if tally.number})
    _delete(program_id, shard, [of for of, tally in right.items() if not tally.number])
    return wrong


def _put(program_id: int, shard: int, tallies: Mapping[tuple[date, Key], Tally]) -> None:
    if tallies:
        numbers = [tally.number for tally in tallies.values()]
        bitmaps = [stored(tally.subjects) for tally in tallies.values()]
        ask(_PUT, [program_id, shard, *_columns(tallies), numbers, bitmaps])


def _delete(program_id: int, shard: int, keys: Collection[tuple[date, Key]]) -> None:
    if keys:
        with role("zq_erase"):
            ask(_DELETE, [*_columns(keys), program_id, shard])


def _columns(keys: Iterable[tuple[date, Key]]) -> Sequence[list[object]]:
    """Days, kinds and keys."""
    rows = [(day, kind, key) for day, (kind, key) in keys]
    return [list(column) for column in zip(*rows, strict=True)] or [[], [], []]


def forget(program_id: int, days: Collection[date]) -> None:
    """Leave nothing of the days' tallies: they are answered from their events until they are built again. As the worker.

    What is packed of them, a row of each subject, is read by nobody from now on, and goes when they are built; whoever takes a
    subject out of these days deletes the subject's rows.
    """
    with role("zq_erase"):
        Rollup.objects.filter(program_id=program_id, day__in=days).delete()
    RollupDay.objects.filter(program_id=program_id, day__in=days).update(changes=-1, built_at=None, layout=0)


def not_packed(program_id: int, days: Collection[date]) -> None:
    """Nothing packed of these days is read any more, in whatever form it is; their tallies stand."""
    if days:
        RollupDay.objects.filter(program_id=program_id, day__in=days).update(layout=0)


def soil(program_id: int, days: Collection[date]) -> None:
    """Have the days built again; until then they are answered from their events."""
    RollupDay.objects.filter(program_id=program_id, day__in=days).update(changes=-1)


def soil_lacking(program_id: int, days: Collection[date], subject_id: int) -> int:
    """The same of those that do not hold the subject, who counts again on all of them; answers how many at least.

    Waits for nobody. What is locked, or has no row yet, may be being built without the subject: a change is noted of it, so
    that it is not clean when it is built. Nobody builds the others before this transaction has ended.
    """
    free = [day for (day,) in ask(_LOCK_FREE, [program_id, sorted(days)]).rows()]
    asked = {"program": program_id, "days": free, "shard": shard_of(subject_id)}
    lacking = [day for day, *_, theirs in ask(_STANDING_NOW, asked).rows() if not _holds(theirs, subject_id)]
    soil(program_id, lacking)
    note_changed(program_id, OF_ITSELF, set(days).difference(free))
    return len(lacking)


def shard_of(subject_id: int) -> int:
    return subject_id >> SHARD_BITS


def bitmap(data: bytes | memoryview) -> BitMap64:
    return BitMap64.deserialize(bytes(data))


def stored(subjects: BitMap64) -> bytes:
    """The same bytes for the same subjects, however the bitmap came to be."""
    subjects.run_optimize()
    return bytes(subjects.serialize())
