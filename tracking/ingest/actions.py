"""Recording a batch of events: read, screen, lock, write. One transaction holds the lock and the write (I1, I2, I5)."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from zoneinfo import ZoneInfo

from django.db import DatabaseError, transaction
from psycopg import errors as pg

from consent.errors import Forbidden
from consent.programs.tenancy import ask_as_tenant, ask_ingest_role, ask_own_role, tenant
from consent.statements import ask_commit, together
from consent.vault.identities import AskedSubjects, Vault
from tracking.ingest import screen, write
from tracking.ingest.counting import Counting
from tracking.ingest.gate import Candidate, gate
from tracking.ingest.outcome import Outcome
from tracking.ingest.parse import Batch, Named, Read, Refusal, Times, parse_batch
from tracking.ingest.screen import Compiled
from tracking.partitions import ensure_days, forget_days, known_days

LOCK_TIMEOUT = "3s"
ATTEMPTS = 4
"""Once, and again because the catalogue changed, a partition was to be made or was gone, or an event was there already."""
FEW = 30
"""Rows up to which an INSERT is quicker than a COPY: it shares its round trip."""

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
    batch = parse_batch(body)
    if batch.historical and not may_import:
        raise Forbidden("insufficient_scope", "historical events need a key with the scope import")
    again = False
    for attempt in range(1, ATTEMPTS + 1):
        attempted = _Attempt(vault, program_id, zone, batch, limits)
        try:
            return attempted.run(again=again)
        except DayMissing as missing:
            ensure_days(missing.days)
        except screen.CatalogueChanged:
            continue
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
    return attempted.busy()


class DayMissing(Exception):
    """There may be no partition for some days: to be made before the batch takes its locks."""

    def __init__(self, days: set[date]) -> None:
        super().__init__()
        self.days = days


class _Attempt:
    """One transaction: read what the screening needs, lock, decide, write, count."""

    def __init__(self, vault: Vault, program_id: int, zone: ZoneInfo, batch: Batch, limits: Limits) -> None:
        self._vault = vault
        self._program_id = program_id
        self._zone = zone
        self._batch = batch
        self._limits = limits
        self._candidates: list[Candidate] = []
        self._copied = False
        self._outcome = Outcome(batch.event_ids, dict(batch.refused))
        self._counting: Counting | None = None

    def run(self, *, again: bool) -> Outcome:
        """`again`: an event was there already, so that rows are inserted one by one."""
        with transaction.atomic(durable=True):
            counting, received_at = self._screen()
            if missing := {item.day for item in self._candidates} - known_days():
                raise DayMissing(missing)
            kept = self._write(received_at, again=again) if self._candidates else None
            with together():
                if self._copied:
                    ask_own_role()
                # Last: a counter is locked for the commit only, and whoever has it waits for nothing any more.
                counted = counting.write(self._outcome)
                ask_commit()
        if kept is not None:
            pages, days = kept
            write.remember_pages(self._program_id, pages)
            days.remember()
        counting.remember(counted)
        return self._outcome

    def busy(self) -> Outcome:
        """Nothing was written: whoever passed the screening, or was not screened, may send the same again. Of what was screened the others
        are counted."""
        screened = self._counting is not None
        reads = [item.read for item in self._candidates] if screened else filter(None, self._batch.read)
        self._outcome.stored.clear()
        self._outcome.refused |= {read.place: Refusal("busy") for read in reads}
        if self._counting is not None:
            with tenant(self._program_id):
                counted = self._counting.write(self._outcome)
            self._counting.remember(counted)
        return self._outcome

    def _screen(self) -> tuple[Counting, datetime]:
        """Finds the candidates; answers the time of receipt too."""
        reads = [read for read in self._batch.read if read is not None]
        numbers: dict[Named, int] = {}
        # Each subject is looked for once, and each event knows which of them is its own.
        own = [numbers.setdefault(read.named, len(numbers)) for read in reads]
        with together():
            clock = ask_as_tenant(self._program_id, lock_timeout=LOCK_TIMEOUT)
            types = screen.AskedCatalogue(self._program_id, {read.sent.name for read in reads})
            subjects = AskedSubjects(self._vault, self._program_id, numbers)
        received_at: datetime = clock.rows()[0][0]
        catalogue, found = types.types(), subjects.found()
        old = self._limits.historical if self._batch.historical else self._limits.late
        times = Times(received_at, self._batch.sent_at, received_at - old)
        refused = screen.refusals(reads, catalogue)
        for read, number in zip(reads, own, strict=True):
            screened = _screened(read, catalogue, refused.get(read.place), found[number], times)
            if isinstance(screened, Refusal):
                self._outcome.refused[read.place] = screened
            else:
                self._candidates.append(screened)
        counting = Counting(self._program_id, self._zone, received_at, self._batch, catalogue, self._candidates)
        self._counting = counting
        return counting, received_at

    def _write(self, received_at: datetime, *, again: bool) -> tuple[dict[str, int], write.MarkedDays] | None:
        """Answers the pages' ids and the days that may be remembered once the transaction has committed."""
        authorised, refused = gate(self._program_id, self._candidates)
        self._outcome.refused |= refused
        firsts, repeats = _once_each(authorised)
        self._outcome.stored |= repeats
        if not firsts:
            return None
        pages, lasting = write.page_ids(self._program_id, firsts)
        rows = write.Rows(firsts, pages, received_at)
        with together():
            days = write.MarkedDays.ask(self._program_id, firsts)
            inserted = write.ask_insert(rows) if again or len(firsts) <= FEW else None
            if inserted is None:
                ask_ingest_role()
        if inserted is None:
            write.copy(rows)
            self._copied = True
            self._outcome.stored |= {event.read.place: True for event in firsts}
        else:
            new = set(inserted.rows())
            self._outcome.stored |= {event.read.place: _key(event) in new for event in firsts}
        return lasting, days


def _screened(
    read: Read, catalogue: Mapping[str, Compiled], refusal: Refusal | None, subjects: set[int], times: Times
) -> Candidate | Refusal:
    timed = times.of(read.place, read.sent)
    if isinstance(timed, Refusal):
        return timed
    if refusal is not None:
        return refusal
    if len(subjects) != 1:
        conflict = Refusal("invalid_event", f"/events/{read.place}/subject")
        return conflict if subjects else Refusal("consent_missing")
    (subject_id,) = subjects
    day, corrected_at = timed
    return Candidate(read, subject_id, catalogue[read.sent.name], day, corrected_at)


def _once_each(authorised: Sequence[Candidate]) -> tuple[list[Candidate], dict[int, bool]]:
    """The first of each key, in the order in which every batch writes, and False at the place of each repeat.

    Only what passed the gate itself counts as a first: the copies of an event may tell different times of one day.
    """
    keys = [_key(event) for event in authorised]
    # From the last to the first, which so is the one that stays.
    firsts = dict(zip(reversed(keys), reversed(authorised), strict=True))
    repeats = {}
    if len(firsts) < len(keys):
        repeats = {
            event.read.place: False for key, event in zip(keys, authorised, strict=True) if firsts[key] is not event
        }
    # By day, since a COPY fills one partition after the other. Two batches with the same events, whatever their order,
    # then wait for each other and never deadlock.
    return [firsts[key] for key in sorted(firsts)], repeats


def _key(event: Candidate) -> Key:
    return event.day, event.subject_id, event.read.sent.event_id
