"""Recording a batch of events: read, screen, lock, write. One transaction holds the lock and the write (I1, I2, I5)."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta

from django.db import OperationalError, connection
from psycopg import errors as pg

from consent.errors import Forbidden
from consent.programs.tenancy import tenant
from consent.records.queries import db_now
from consent.vault import identities
from consent.vault.identities import Vault
from tracking.ingest import screen, write
from tracking.ingest.gate import Authorised, Screened, gate
from tracking.ingest.parse import Batch, Refusal, parse_batch
from tracking.partitions import ensure_days, forget_days

RETRY_CODES = frozenset({"consent_changing", "busy"})
LOCK_TIMEOUT = "3s"

Key = tuple[int, date, str]


@dataclass(frozen=True)
class Limits:
    """How old an event may be at receipt, and a historical one."""

    late: timedelta
    historical: timedelta


@dataclass
class Outcome:
    """Per place either a refusal or whether it was stored now (True) or before (False)."""

    event_ids: list[str | None]
    refused: dict[int, Refusal]
    stored: dict[int, bool] = field(default_factory=dict)

    def counts(self) -> Counter[str]:
        """API.md's four counters."""
        return Counter(self.result(place) for place in range(len(self.event_ids)))

    def result(self, place: int) -> str:
        if (refusal := self.refused.get(place)) is not None:
            return "retry" if refusal.code in RETRY_CODES else "refused"
        return "stored" if self.stored[place] else "duplicate"


def ingest(*, vault: Vault, program_id: int, body: bytes, limits: Limits, may_import: bool) -> Outcome:
    """Store what is authorised. Every event gets an answer; an answer of stored is given after the commit.

    Raises Malformed, Invalid (the body as a whole), Forbidden (historical without the scope import).
    """
    with tenant(program_id):
        received_at = db_now()
        batch = parse_batch(body, received_at=received_at, late=limits.late, historical=limits.historical)
        if batch.historical and not may_import:
            raise Forbidden("insufficient_scope", "historical events need a key with the scope import")
        screened = _screen(vault, program_id, batch)
    outcome = Outcome(batch.event_ids, batch.refused)
    firsts, repeats = _once_each(screened)
    if firsts:
        ensure_days(item.candidate.day for item in firsts)
        _store(program_id, firsts, received_at, outcome)
    _answer_repeats(repeats, outcome)
    return outcome


def _screen(vault: Vault, program_id: int, batch: Batch) -> list[Screened]:
    types = screen.catalogue(program_id)
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


def _once_each(screened: Sequence[Screened]) -> tuple[list[Screened], list[tuple[int, int]]]:
    """The first of each key, and (place, place of its first) for what repeats one within the batch."""
    firsts: dict[Key, Screened] = {}
    repeats = []
    for item in screened:
        key = (item.subject_id, item.candidate.day, item.candidate.sent.event_id)
        first = firsts.setdefault(key, item)
        if first is not item:
            repeats.append((item.candidate.place, first.candidate.place))
    return list(firsts.values()), repeats


def _answer_repeats(repeats: Sequence[tuple[int, int]], outcome: Outcome) -> None:
    for place, first in repeats:
        if first in outcome.stored:
            outcome.stored[place] = False
        else:
            outcome.refused[place] = outcome.refused[first]


def _store(program_id: int, firsts: list[Screened], received_at: datetime, outcome: Outcome) -> None:
    """COPY first; where an event is there already, everything again with an INSERT that passes over it."""
    try:
        try:
            _write(program_id, firsts, received_at, outcome, again=False)
        except pg.UniqueViolation:
            _write(program_id, firsts, received_at, outcome, again=True)
        except pg.CheckViolation:
            # A partition that this process remembered has been dropped since.
            forget_days()
            ensure_days(item.candidate.day for item in firsts)
            _write(program_id, firsts, received_at, outcome, again=True)
    except OperationalError as error:
        # Locks held too long by others, or a deadlock that the database resolved against us: nothing was written.
        if not isinstance(error.__cause__, pg.LockNotAvailable | pg.DeadlockDetected):
            raise
        outcome.refused |= {item.candidate.place: Refusal("busy") for item in firsts}


def _write(program_id: int, firsts: list[Screened], received_at: datetime, outcome: Outcome, *, again: bool) -> None:
    with tenant(program_id):
        with connection.cursor() as cursor:
            cursor.execute("SELECT set_config('lock_timeout', %s, true)", [LOCK_TIMEOUT])
        authorised, refused = gate(program_id, firsts)
        stored, pages = _rows(program_id, authorised, received_at, again) if authorised else ({}, {})
    write.remember_pages(program_id, pages)
    outcome.refused |= refused
    outcome.stored |= stored


def _rows(
    program_id: int, authorised: list[Authorised], received_at: datetime, again: bool
) -> tuple[dict[int, bool], dict[str, int]]:
    pages = write.page_ids(program_id, authorised)
    rows = [
        write.Row(event, pages[page] if (page := event.candidate.sent.page) is not None else None, received_at)
        for event in authorised
    ]
    write.mark_days(program_id, rows)
    if not again:
        write.copy(rows)
        return {event.candidate.place: True for event in authorised}, pages
    new = write.insert(rows)
    return {
        event.candidate.place: (event.subject_id, event.candidate.day, event.candidate.sent.event_id) in new
        for event in authorised
    }, pages
