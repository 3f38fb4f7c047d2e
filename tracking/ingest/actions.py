"""Recording a batch of events: read, screen, lock, write. One transaction holds the lock and the write (I1, I2, I5)."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from zoneinfo import ZoneInfo

from django.db import DatabaseError, connection
from psycopg import errors as pg

from consent.errors import Forbidden
from consent.programs.tenancy import tenant
from consent.records.queries import db_now
from consent.vault import identities
from consent.vault.identities import Vault
from tracking.ingest import screen, write
from tracking.ingest.counting import Counting
from tracking.ingest.gate import Authorised, Screened, gate
from tracking.ingest.outcome import Outcome
from tracking.ingest.parse import Batch, Refusal, parse_batch
from tracking.ingest.screen import Compiled
from tracking.partitions import ensure_days, forget_days

LOCK_TIMEOUT = "3s"
ATTEMPTS = 3
"""A COPY, once more because an event was there already, and once more because a partition was gone; in any order."""

Key = tuple[date, int, str]


@dataclass(frozen=True)
class Limits:
    """How old an event may be at receipt, and a historical one."""

    late: timedelta
    historical: timedelta


def ingest(*, vault: Vault, program_id: int, zone: ZoneInfo, body: bytes, limits: Limits, may_import: bool) -> Outcome:
    """Store what is authorised. Every event gets an answer; an answer of stored is given after the commit.

    `zone`: the mini-program's, by whose hours and days the answers are counted. Raises Malformed, Invalid (the body as
    a whole), Forbidden (historical without the scope import).
    """
    with tenant(program_id):
        received_at = db_now()
        batch = parse_batch(body, received_at=received_at, late=limits.late, historical=limits.historical)
        if batch.historical and not may_import:
            raise Forbidden("insufficient_scope", "historical events need a key with the scope import")
        types = screen.catalogue(program_id)
        screened = _screen(vault, program_id, batch, types)
    counting = Counting(program_id, zone, received_at, batch, types, screened)
    outcome = Outcome(batch.event_ids, batch.refused)
    if screened:
        ensure_days(item.candidate.day for item in screened)
        _store(program_id, screened, received_at, outcome, counting)
    else:
        _count(program_id, outcome, counting)
    return outcome


def _screen(vault: Vault, program_id: int, batch: Batch, types: Mapping[str, Compiled]) -> list[Screened]:
    passed = []
    for candidate in batch.candidates:
        event_type = types.get(candidate.sent.name)
        refusal = screen.refusal(candidate, event_type)
        if refusal is not None or event_type is None:
            batch.refused[candidate.place] = refusal or Refusal("unknown_event")
        else:
            passed.append((candidate, event_type))
    names = list({candidate.named for candidate, _ in passed})
    found = dict(zip(names, identities.find(vault, program_id, [dict(name) for name in names]), strict=True))
    screened = []
    for candidate, event_type in passed:
        subjects = found[candidate.named]
        if len(subjects) == 1:
            screened.append(Screened(candidate, next(iter(subjects)), event_type))
        else:
            conflict = Refusal("invalid_event", f"/events/{candidate.place}/subject")
            batch.refused[candidate.place] = conflict if subjects else Refusal("consent_missing")
    return screened


def _store(
    program_id: int, screened: list[Screened], received_at: datetime, outcome: Outcome, counting: Counting
) -> None:
    """COPY first; where an event is there already, everything again with an INSERT that passes over it."""
    again = False
    for attempt in range(1, ATTEMPTS + 1):
        try:
            _write(program_id, screened, received_at, outcome, counting, again=again)
            return
        except (DatabaseError, pg.Error) as error:
            # A COPY raises psycopg's own errors, every other statement Django's around them.
            cause = error if isinstance(error, pg.Error) else error.__cause__
            if isinstance(cause, pg.LockNotAvailable | pg.DeadlockDetected):
                # Locks held too long by others, or a deadlock resolved against us: nothing was written.
                break
            if attempt == ATTEMPTS or not isinstance(cause, pg.UniqueViolation | pg.CheckViolation):
                raise
            if isinstance(cause, pg.UniqueViolation):
                again = True
            else:
                # A partition that this process remembered has been dropped since.
                forget_days()
                ensure_days(item.candidate.day for item in screened)
    outcome.refused |= {item.candidate.place: Refusal("busy") for item in screened}
    _count(program_id, outcome, counting)


def _write(
    program_id: int,
    screened: list[Screened],
    received_at: datetime,
    outcome: Outcome,
    counting: Counting,
    *,
    again: bool,
) -> None:
    with tenant(program_id):
        with connection.cursor() as cursor:
            cursor.execute("SELECT set_config('lock_timeout', %s, true)", [LOCK_TIMEOUT])
        authorised, refused = gate(program_id, screened)
        firsts, stored = _once_each(authorised)
        pages = _rows(program_id, firsts, received_at, stored, again) if firsts else {}
        # Last: a counter is locked for the commit only, and whoever has it waits for nothing any more.
        counted = counting.write(outcome.with_answers(refused, stored))
    write.remember_pages(program_id, pages)
    counting.remember(counted)
    outcome.refused |= refused
    outcome.stored |= stored


def _count(program_id: int, outcome: Outcome, counting: Counting) -> None:
    """The answers of a batch of which nothing passed to the gate, or nothing through it."""
    with tenant(program_id):
        counted = counting.write(outcome)
    counting.remember(counted)


def _once_each(authorised: Sequence[Authorised]) -> tuple[list[Authorised], dict[int, bool]]:
    """The first of each key, in the order in which every batch writes, and False at the place of each repeat.

    Only what passed the gate itself counts as a first: the copies of an event may tell different times of one day.
    """
    firsts: dict[Key, Authorised] = {}
    repeats = {}
    for event in authorised:
        if firsts.setdefault(_key(event), event) is not event:
            repeats[event.candidate.place] = False
    # By day, since a COPY fills one partition after the other. Two batches with the same events, whatever their order,
    # then wait for each other and never deadlock.
    return [firsts[key] for key in sorted(firsts)], repeats


def _key(event: Authorised) -> Key:
    return event.candidate.day, event.subject_id, event.candidate.sent.event_id


def _rows(
    program_id: int, firsts: list[Authorised], received_at: datetime, stored: dict[int, bool], again: bool
) -> dict[str, int]:
    """Write; puts into `stored` what is new, and answers the pages' ids that may be kept beyond this transaction."""
    pages, lasting = write.page_ids(program_id, firsts)
    rows = [
        write.Row(event, pages[page] if (page := event.candidate.sent.page) is not None else None, received_at)
        for event in firsts
    ]
    write.mark_days(program_id, rows)
    if again:
        new = write.insert(rows)
        stored |= {event.candidate.place: _key(event) in new for event in firsts}
    else:
        write.copy(rows)
        stored |= {event.candidate.place: True for event in firsts}
    return lasting
