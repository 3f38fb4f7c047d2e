"""The predicate, evaluated under the lock: which events an unbroken grant authorises, and by which record (I1, I2)."""

from collections.abc import Iterable
from datetime import UTC, date, datetime

import msgspec

from consent.records.grants import CLOCK_TOLERANCE, AuthorisingRecord, Coverage, Covered, Grant, Waiting
from consent.records.queries import AskedGrants, earlier_records, pending_records
from consent.statements import together
from tracking.ingest import screen
from tracking.ingest.parse import Read, Refusal
from tracking.ingest.screen import Compiled


class Candidate(msgspec.Struct, eq=False, gc=False):
    """An event of a known subject and a declared type, at a time. `day`: its UTC date as sent.

    `record_id`: the record that authorises it, of those that the gate answers; 0 of all others.
    """

    read: Read
    subject_id: int
    event_type: Compiled
    day: date
    corrected_at: datetime
    record_id: int = 0


Pair = tuple[int, int]


def gate(program_id: int, candidates: list[Candidate]) -> tuple[list[Candidate], dict[int, Refusal]]:
    """Lock, then decide; the caller writes in the same transaction. Answers what may be written, and refusals by place.

    Raises CatalogueChanged.
    """
    subjects = sorted({item.subject_id for item in candidates})
    purposes = sorted({item.event_type.purpose_id for item in candidates})
    screened = {item.event_type.id: item.event_type for item in candidates}
    with together():
        asked = AskedGrants(program_id, subjects, purposes)
        # What the screening knew of the types may be out of date: part (a) of the predicate is decided here as well.
        types = screen.ask_categories(screened.keys())
    grants, leaving = asked.grants()
    now, covered = asked.clock_and_covered()
    active = screen.active_categories(types, screened.values())
    decision = _Decision(grants, leaving, pending_records(grants.values()), covered, active, now)
    authorised: list[Candidate] = []
    refused: dict[int, Refusal] = {}
    early: list[Candidate] = []
    for item in candidates:
        found = decision.of(item)
        if isinstance(found, Refusal):
            refused[item.read.place] = found
        elif found is None:
            early.append(item)
        else:
            item.record_id = found
            authorised.append(item)
    if early:
        _by_earlier_records(early, decision, authorised, refused)
        authorised.sort(key=lambda item: item.read.place)
    return authorised, refused


class _Decision:
    def __init__(
        self,
        grants: dict[Pair, Grant],
        leaving: set[int],
        waiting: Waiting,
        covered: Covered,
        types: dict[int, frozenset[str]],
        now: datetime,
    ) -> None:
        self.grants = grants
        if waiting:
            self.grants = {pair: grant.at(now, waiting, covered) for pair, grant in grants.items()}
        self.leaving = leaving
        self.waiting = waiting
        self.covered = covered
        self.types = types
        self.now = now
        self.latest = now + CLOCK_TOLERANCE
        self.today = now.astimezone(UTC).date()
        # Notices that tell enough for all events of a type and a day, none of them lapsed: most are the same.
        self._enough: set[tuple[int, int | None, date]] = set()

    def of(self, item: Candidate) -> int | Refusal | None:
        """The record's id; None: inside the grant but before its last renewal, so an earlier record of it is in force."""
        event_type = item.event_type
        if event_type.id not in self.types:
            return Refusal("unknown_event", f"/events/{item.read.place}/name")
        if item.subject_id in self.leaving:
            return Refusal("consent_changing")
        grant = self.grants.get((item.subject_id, event_type.purpose_id))
        if grant is None:
            return Refusal("consent_missing")
        key = (event_type.id, grant.notice_id, item.day)
        if key in self._enough and grant.plainly_covers(item.read.sent.occurred_at, item.corrected_at, self.now):
            return grant.record_id
        told = grant.told(self.covered)
        code = grant.refusal(self.now, told)
        if code is not None:
            return Refusal(code)
        if item.corrected_at > self.latest:
            return Refusal("in_the_future", f"/events/{item.read.place}/occurred_at")
        if not grant.covers(item.read.sent.occurred_at, item.corrected_at, self.now):
            return Refusal("outside_consent")
        assert grant.record_from is not None
        if item.corrected_at < grant.record_from:
            return None
        if grant.pending:
            # A clock a little ahead may say a time at which the grant goes on under its next record.
            ahead = grant.at(item.corrected_at, self.waiting, self.covered)
            grant = ahead if ahead.grant_from == grant.grant_from else grant
            told = grant.told(self.covered)
            key = (event_type.id, grant.notice_id, item.day)
        return grant.record_id if key in self._enough else self._found_out(key, told, item) or grant.record_id

    def _found_out(self, key: tuple[int, int | None, date], told: Coverage | None, item: Candidate) -> Refusal | None:
        refusal = self.refusal_by(told, item)
        if refusal is None:
            self._enough.add(key)
        return refusal

    def refusal_by(self, told: Coverage | None, item: Candidate, since: Iterable[Coverage] = ()) -> Refusal | None:
        """`told`: by the record; `since`: by those in force after it, one of which may have promised less."""
        if told is None or not self.types[item.event_type.id] <= told.categories:
            return Refusal("outside_consent")
        # An event of a day that is over when it comes would lie here until the next full purge.
        days = (self.today - item.day).days
        if days > told.retention_days or any(days > terms.retention_days for terms in since):
            return Refusal("too_old", f"/events/{item.read.place}/occurred_at")
        return None


def _by_earlier_records(
    early: list[Candidate], decision: _Decision, authorised: list[Candidate], refused: dict[int, Refusal]
) -> None:
    records: dict[Pair, list[AuthorisingRecord]] = {}
    for record in earlier_records({(item.subject_id, item.event_type.purpose_id) for item in early}):
        records.setdefault((record.subject_id, record.purpose_id), []).append(record)
    for item in early:
        pair = (item.subject_id, item.event_type.purpose_id)
        at = item.corrected_at
        known = [record for record in records.get(pair, ()) if record.since <= decision.now]
        in_force = next((record for record in known if record.since <= at), None)
        refusal: Refusal | None = Refusal("outside_consent")
        if in_force is not None:
            told = decision.covered.get((in_force.purpose_id, in_force.notice_id))
            since = [decision.covered[after.purpose_id, after.notice_id] for after in known if after.since > at]
            refusal = decision.refusal_by(told, item, since)
            item.record_id = in_force.record_id
        if refusal is None:
            authorised.append(item)
        else:
            refused[item.read.place] = refusal
