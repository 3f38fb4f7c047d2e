"""verify_ledger on what rests on the log: consent states that their records do not explain, and events that these do not cover."""

from datetime import timedelta
from pathlib import Path

import psycopg
import pytest

from tests.cast import Program, now
from tests.consent.acts import guarded, minors_notice
from tests.consent.deciding import take_back
from tests.consent.rights import file
from tests.ledger.verifying import faults, verify

STATES = {
    "a withdrawal taken back": "state = 'given', grant_from = now(), record_from = now() WHERE state = 'withdrawn'",
    "a refusal taken for a grant": "state = 'given', grant_from = now(), record_from = now() WHERE state = 'refused'",
    "another's record": "record_id = (SELECT max(id) FROM consent_record) WHERE state = 'given'",
    "no such record": "record_id = 999999999 WHERE state = 'given'",
    "an earlier beginning": "grant_from = grant_from - interval '1 day' WHERE state = 'given'",
    "another beginning of its record": "record_from = record_from - interval '1 day' WHERE state = 'given'",
    "a grant beside a refusal": "grant_from = now() WHERE state = 'refused'",
    "a grant hidden": "state = 'refused', grant_from = NULL, record_from = NULL WHERE state = 'given'",
    "a grant forgotten": "state = 'unknown', grant_from = NULL, record_from = NULL WHERE state = 'given'",
    "a refusal forgotten": "state = 'unknown' WHERE state = 'refused'",
    "a record that waits and is none": "pending = ARRAY[999999999] WHERE state = 'given'",
    "a barrier taken away": "barrier_at = NULL WHERE state = 'withdrawn'",
    "a barrier dated back": "barrier_at = barrier_at - interval '1 hour' WHERE state = 'refused'",
}


@pytest.mark.parametrize("change", STATES.values(), ids=STATES.keys())
def test_a_state_that_its_records_do_not_explain(
    log: int, folder: Path, owner: psycopg.Connection, change: str
) -> None:
    assert owner.execute(f"UPDATE consent_state SET {change}".encode()).rowcount
    found = faults(folder)
    assert {fault for fault, _, _ in found} == {"state_not_explained"}
    assert all(row.startswith("consent_state ") for _, row, _ in found)


def test_a_state_that_lasts_longer_than_its_record(program: Program, owner: psycopg.Connection) -> None:
    program.decide(
        "child", **guarded(minors_notice(program)), turns_14_on=(now() + timedelta(days=400)).date().isoformat()
    )
    assert verify()["holds"]
    owner.execute("UPDATE consent_state SET grant_until = NULL")
    ((fault, _, _),) = faults()
    assert fault == "state_not_explained"


def test_a_guardian_who_is_not_waited_for_any_more(program: Program, owner: psycopg.Connection) -> None:
    program.decide("child", notice=minors_notice(program), age_band="under_14")
    assert verify()["holds"]
    assert owner.execute("UPDATE consent_state SET guardian_pending = false WHERE guardian_pending").rowcount
    ((fault, _, _),) = faults()
    assert fault == "state_not_explained"


def test_a_consent_from_before_a_child_was_known_to_be_one(program: Program, owner: psycopg.Connection) -> None:
    program.decide("child")
    program.decide("child", "refused", "personalisation", age_band="under_14")
    assert verify()["holds"]
    assert owner.execute("UPDATE consent_state SET guardian_pending = false WHERE state = 'given'").rowcount
    ((fault, _, _),) = faults()
    assert fault == "state_not_explained"


def test_a_state_that_rests_on_another_notice(program: Program, owner: psycopg.Connection) -> None:
    """Whose categories and retention the gate would decide by."""
    program.decide("alice")
    minors_notice(program)
    owner.execute("UPDATE consent_state SET notice_id = (SELECT id FROM notice WHERE audience = 'minor')")
    ((fault, _, _),) = faults()
    assert fault == "state_not_explained"


@pytest.mark.parametrize("kind", ["restriction", "erasure"])
@pytest.mark.parametrize("decision", ["given", "refused"])
def test_a_state_that_is_open_while_its_persons_data_are_closed(
    program: Program, owner: psycopg.Connection, kind: str, decision: str
) -> None:
    program.decide("alice", decision)
    file(program, kind)
    assert verify()["holds"]
    owner.execute("UPDATE consent_state SET restricted = false, erasure_pending = false")
    ((fault, _, _),) = faults()
    assert fault == "state_not_explained"


def test_what_people_may_do_is_explained(program: Program, owner: psycopg.Connection) -> None:
    """Each step is one that moves a flag, a barrier or the notice a state rests on."""
    minors = minors_notice(program)
    later = minors_notice(program, effective_at=now() + timedelta(days=1))
    program.decide("imported", method="import", occurred_at=(now() - timedelta(days=10)).isoformat())
    program.decide("alice")
    program.decide("alice", "withdrawn")
    program.decide("alice")
    restriction = file(program, "restriction")
    program.decide("alice", purpose="personalisation")
    program.decide("alice", "withdrawn", "precise_location")
    assert verify()["holds"], "what is decided while data are closed is closed"
    take_back(program, restriction)
    program.decide("alice", "refused", "precise_location")
    assert verify()["holds"], "the barrier has moved"
    erasure = file(program, "erasure")
    program.decide("alice", "withdrawn")
    assert verify()["holds"]
    take_back(program, erasure)
    program.decide("alice")
    assert verify()["holds"]
    program.decide("child")
    program.decide("child", "given", "personalisation", notice=minors, age_band="under_14")
    assert verify()["holds"], "what a guardian does not stand by yet"
    program.decide("child", **guarded(minors))
    program.decide("child", **guarded(later))
    assert verify()["holds"], "what a guardian stands by, now and to come"
    owner.execute("UPDATE subject SET turns_14_on = current_date - 2 WHERE under_14")
    owner.execute("UPDATE consent_state SET pending = '{}' WHERE pending <> '{}'")
    program.decide("child")
    assert verify()["holds"]


def test_a_state_that_is_gone(log: int, folder: Path, owner: psycopg.Connection) -> None:
    owner.execute("DELETE FROM consent_state WHERE state = 'refused'")
    assert [fault for fault, _, _ in faults(folder)] == ["state_not_explained"] * 3


EVENTS = {
    "another's record": "consent_record_id = (SELECT max(id) FROM consent_record)",
    "a time before its consent": "corrected_at = corrected_at - interval '1 hour'",
    "a receipt before its record's": "received_at = received_at - interval '2 minutes'",
}


@pytest.mark.parametrize("change", EVENTS.values(), ids=EVENTS.keys())
def test_an_event_whose_record_does_not_cover_it(
    log: int, folder: Path, owner: psycopg.Connection, change: str
) -> None:
    owner.execute(f"UPDATE event SET {change}".encode())
    ((fault, row, _),) = faults(folder)
    assert fault == "event_not_covered"
    assert row.endswith("/e1")
    assert verify(folder, "--no-events")["events"] == 0


def test_an_event_whose_batch_waited_for_its_record(log: int, folder: Path, owner: psycopg.Connection) -> None:
    """It was received when it came, and is covered by what was given before the batch had its locks."""
    owner.execute("UPDATE event SET received_at = received_at - interval '30 s'")
    assert verify(folder)["holds"]


@pytest.mark.parametrize(
    "change", ["authorises_until = '294276-12-31 23:59:59.999+00'", "received_at = '4713-11-24 00:00+00 BC'"]
)
def test_an_event_whose_record_has_a_time_that_nothing_is_added_to(
    log: int, folder: Path, owner: psycopg.Connection, change: str
) -> None:
    owner.execute(f"UPDATE consent_record SET {change}".encode())
    assert "record_changed" in [fault for fault, _, _ in faults(folder)]


def test_an_event_after_a_withdrawal(log: int, folder: Path, program: Program, owner: psycopg.Connection) -> None:
    program.decide("alice", "withdrawn")
    assert verify(folder)["holds"], "what was collected before goes within days, and was lawful"
    owner.execute("UPDATE event SET received_at = now()")
    assert [fault for fault, _, _ in faults(folder)] == ["event_not_covered"]
