"""The predicate where two instants are the same one: which side each of them belongs to."""

from datetime import datetime, timedelta

import psycopg

from consent.notices.actions import publish_notice
from consent.records.grants import AuthorisingRecord, Coverage, Grant, of_state
from consent.records.models import ConsentState
from tests.cast import AT_ONCE, Program, example_notice, now
from tests.consent.acts import code

SECOND = timedelta(seconds=1)


def instant(owner: psycopg.Connection, query: str) -> datetime:
    row = owner.execute(query).fetchone()
    assert row is not None
    found: datetime = row[0]
    return found


def test_an_event_of_the_instant_of_consent_is_inside_and_one_before_it_is_not(program: Program) -> None:
    at = now() - SECOND
    program.decide("alice", occurred_at=at.isoformat())
    found = [code(program, "e1", at=at), code(program, "e2", at=at - timedelta(microseconds=1))]
    assert found == [None, "outside_consent"]


def test_a_consent_of_the_instant_of_a_withdrawal_authorises_nothing(
    program: Program, owner: psycopg.Connection
) -> None:
    program.decide("alice")
    program.decide("alice", "withdrawn")
    barrier = instant(owner, "SELECT barrier_at FROM consent_state")
    program.decide("alice", occurred_at=barrier.isoformat())
    assert code(program, "e1") == "consent_withdrawn"
    program.decide("alice", occurred_at=(barrier + timedelta(microseconds=1)).isoformat())
    assert code(program, "e2") is None


def test_an_event_of_the_instant_of_a_renewal_names_the_renewal(program: Program, owner: psycopg.Connection) -> None:
    first, second = now() - 20 * SECOND, now() - 10 * SECOND
    for at in (first, second):
        assert program.decide("alice", occurred_at=at.isoformat())["records"][0]["state"] in ("given", "renewed")
    assert [code(program, "e1", at=second), code(program, "e0", at=second - SECOND)] == [None, None]
    named = owner.execute(
        "SELECT r.version FROM event e JOIN consent_record r ON r.id = e.consent_record_id ORDER BY e.event_id"
    ).fetchall()
    assert named == [(1,), (2,)]


def test_of_two_consents_of_one_instant_the_later_decision_is_in_force(
    program: Program, owner: psycopg.Connection
) -> None:
    at = now() - SECOND
    for _ in range(2):
        program.decide("alice", occurred_at=at.isoformat())
    row = owner.execute("SELECT r.version FROM consent_state s JOIN consent_record r ON r.id = s.record_id").fetchone()
    assert row == (2,)


def test_a_consent_of_the_instant_of_a_material_version_is_superseded(program: Program) -> None:
    text = example_notice()
    text.purposes[0].retention_days = 1000
    made = publish_notice(program_id=program.id, text=text, effective_at=None, lead=AT_ONCE, by="test", now=now())
    program.decide("alice", occurred_at=made.effective_at.isoformat())
    assert code(program, "e1") == "consent_missing"
    program.decide("alice", notice=made.sha256, occurred_at=made.effective_at.isoformat())
    assert code(program, "e2", at=made.effective_at) is None


def test_a_grant_has_ended_at_the_instant_of_its_end_and_begun_at_that_of_its_beginning() -> None:
    at, told = now(), Coverage(frozenset(), 365, None)
    state = ConsentState(subject_id=1, purpose_id=1, state="given", record_id=1, notice_id=1, grant_from=at)
    grant: Grant = of_state(state)
    assert (grant.refusal(at, told), grant.refusal(at - SECOND, told)) == (None, "outside_consent")
    ending = grant._replace(grant_from=at - SECOND, grant_until=at)
    assert (ending.refusal(at, told), ending.refusal(at - SECOND, told)) == ("consent_expired", None)
    assert ending.refusal(at, Coverage(frozenset(), 365, at)) == "renewal_required"
    assert grant.covers(at, at + 60 * SECOND, at)
    assert not grant.covers(at, at + 61 * SECOND, at)
    assert not grant.covers(at - SECOND, at, at) and not grant.covers(at, at - SECOND, at)


def test_a_grant_that_ends_at_the_instant_at_which_the_next_record_begins_is_unbroken() -> None:
    at, told = now(), Coverage(frozenset(), 365, None)
    state = ConsentState(subject_id=1, purpose_id=1, state="given", record_id=1, notice_id=1, pending=[2])
    grant = of_state(state)._replace(record_from=at - 9 * SECOND, grant_from=at - 9 * SECOND)
    waiting = {2: AuthorisingRecord(1, 1, 2, 2, at, None)}
    for end, lapse in ((at, None), (None, at)):
        standing = grant._replace(grant_until=end)
        covered = {(1, 1): Coverage(frozenset(), 365, lapse), (1, 2): told}
        after = standing.at(at, waiting, covered)
        assert (after.state, after.grant_from, after.record_id) == ("renewed", grant.grant_from, 2)
    broken = grant._replace(grant_until=at - SECOND, barrier_at=at + SECOND)
    after = broken.at(at, waiting, {(1, 1): told, (1, 2): told})
    assert (after.state, after.grant_from) == ("given", at + SECOND), "nothing reaches back over a barrier"
    assert broken.at(at - SECOND, waiting, {}).record_id == 1
