"""verify_ledger on what rests on the log: consent states that their records do not explain, and events that these do not cover."""

from datetime import timedelta
from pathlib import Path

import psycopg
import pytest

from tests.cast import Program, now
from tests.consent.acts import guarded, minors_notice
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


def test_a_state_that_is_gone(log: int, folder: Path, owner: psycopg.Connection) -> None:
    owner.execute("DELETE FROM consent_state WHERE state = 'refused'")
    assert [fault for fault, _, _ in faults(folder)] == ["state_not_explained"] * 3


EVENTS = {
    "another's record": "consent_record_id = (SELECT max(id) FROM consent_record)",
    "a time before its consent": "corrected_at = corrected_at - interval '1 hour'",
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


def test_an_event_after_a_withdrawal(log: int, folder: Path, program: Program, owner: psycopg.Connection) -> None:
    program.decide("alice", "withdrawn")
    assert verify(folder)["holds"], "what was collected before goes within days, and was lawful"
    owner.execute("UPDATE event SET received_at = now()")
    assert [fault for fault, _, _ in faults(folder)] == ["event_not_covered"]
