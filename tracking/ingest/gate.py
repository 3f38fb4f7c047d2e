"""The predicate, evaluated under the lock: which events an unbroken grant authorises, and by which record (I1, I2)."""

from dataclasses import dataclass
from datetime import datetime

from consent.records.grants import CLOCK_TOLERANCE, AuthorisingRecord, Coverage, Covered, Grant, Waiting
from consent.records.queries import coverage, db_now, earlier_records, lock_grants, pending_records
from tracking.ingest.parse import Candidate, Refusal
from tracking.ingest.screen import Compiled, active_categories


@dataclass(slots=True)
class Screened:
    """A candidate whose subject and type are known."""

    candidate: Candidate
    subject_id: int
    event_type: Compiled


@dataclass(slots=True)
class Authorised:
    """An event that may be written, and the record that authorises it."""

    candidate: Candidate
    subject_id: int
    event_type: Compiled
    record_id: int


Pair = tuple[int, int]


def gate(program_id: int, screened: list[Screened]) -> tuple[list[Authorised], dict[int, Refusal]]:
    """Lock, then decide; the caller writes in the same transaction. Answers what may be written, and refusals by place."""
    subjects = sorted({item.subject_id for item in screened})
    purposes = sorted({item.event_type.purpose_id for item in screened})
    grants, leaving = lock_grants(subjects, purposes)
    # Read by a statement of its own, after the lock: inside the locking SELECT it would be early.
    now = db_now()
    # What the screening knew of the types may be out of date: part (a) of the predicate is decided here as well.
    types = active_categories({item.event_type.id for item in screened})
    decision = _Decision(grants, leaving, pending_records(grants.values()), coverage(program_id), types, now)
    authorised: list[Authorised] = []
    refused: dict[int, Refusal] = {}
    early: list[Screened] = []
    for item in screened:
        found = decision.of(item)
        if isinstance(found, Refusal):
            refused[item.candidate.place] = found
        elif found is None:
            early.append(item)
        else:
            authorised.append(found)
    if early:
        _by_earlier_records(early, decision, authorised, refused)
        authorised.sort(key=lambda item: item.candidate.place)
    return authorised, refused


class _Decision:
    def __init__(
        self,
        grants: dict[Pair, Grant],
        leaving: set[Pair],
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

    def of(self, item: Screened) -> Authorised | Refusal | None:
        """None: inside the grant but before its last renewal, so an earlier record of it is the one in force."""
        candidate, sent = item.candidate, item.candidate.sent
        pair = (item.subject_id, item.event_type.purpose_id)
        if item.event_type.id not in self.types:
            return Refusal("unknown_event", f"/events/{candidate.place}/name")
        if pair in self.leaving:
            return Refusal("consent_changing")
        grant = self.grants.get(pair)
        if grant is None:
            return Refusal("consent_missing")
        code = grant.refusal(self.now, grant.told(self.covered))
        if code is not None:
            return Refusal(code)
        if candidate.corrected_at > self.now + CLOCK_TOLERANCE:
            return Refusal("in_the_future", f"/events/{candidate.place}/occurred_at")
        if not grant.covers(sent.occurred_at, candidate.corrected_at, self.now):
            return Refusal("outside_consent")
        assert grant.record_from is not None
        if candidate.corrected_at < grant.record_from:
            return None
        if grant.pending:
            # A clock a little ahead may say a time at which the grant goes on under its next record.
            ahead = grant.at(candidate.corrected_at, self.waiting, self.covered)
            grant = ahead if ahead.grant_from == grant.grant_from else grant
        return self.authorised(item, grant.record_id, grant.told(self.covered))

    def authorised(self, item: Screened, record_id: int, told: Coverage | None) -> Authorised | Refusal:
        if told is None or not self.types[item.event_type.id] <= told.categories:
            return Refusal("outside_consent")
        return Authorised(item.candidate, item.subject_id, item.event_type, record_id)


def _by_earlier_records(
    early: list[Screened], decision: _Decision, authorised: list[Authorised], refused: dict[int, Refusal]
) -> None:
    records: dict[Pair, list[AuthorisingRecord]] = {}
    for record in earlier_records({(item.subject_id, item.event_type.purpose_id) for item in early}):
        records.setdefault((record.subject_id, record.purpose_id), []).append(record)
    for item in early:
        pair = (item.subject_id, item.event_type.purpose_id)
        at = item.candidate.corrected_at
        in_force = next((record for record in records.get(pair, ()) if record.since <= at), None)
        found: Authorised | Refusal = Refusal("outside_consent")
        if in_force is not None:
            told = decision.covered.get((in_force.purpose_id, in_force.notice_id))
            found = decision.authorised(item, in_force.record_id, told)
        if isinstance(found, Refusal):
            refused[item.candidate.place] = found
        else:
            authorised.append(found)
