"""What risk monitoring finds of the log."""

from pathlib import Path

import psycopg

from consent import edge
from consent.monitoring import runs
from tests.cast import Program
from tests.ledger.logged import Working, run

OLDER = "UPDATE log_checkpoint SET at = at - interval '25 h'"


def found(program: Program) -> dict[str, int | None]:
    """Of the checks of the log that found something."""
    made = runs.run(program_id=program.id, keyring=edge.vault().keyring, sinks=edge.ledger_sinks(), by="test")
    return {code: told["found"] for code, told in made.found.items() if code.startswith("ledger.") and told["above"]}


def test_leaves_that_wait_too_long_for_a_place(
    program: Program, other: Program, owner: psycopg.Connection, as_worker: Working
) -> None:
    run(as_worker)
    program.decide("alice")
    program.decide("bob")
    other.decide("carol")
    owner.execute("UPDATE leaf_waiting SET since = since - interval '4 min'")
    assert found(program) == {}
    owner.execute("UPDATE leaf_waiting SET since = since - interval '2 min'")
    assert (found(program), found(other)) == ({"ledger.waiting": 2}, {"ledger.waiting": 1})
    run(as_worker)
    assert found(program) == {}


def test_a_log_that_is_not_what_was_published(log: int, program: Program, owner: psycopg.Connection) -> None:
    assert found(program) == {}
    owner.execute("UPDATE log_node SET hash = sha256(hash)")
    owner.execute("UPDATE log_leaf SET hash = sha256(hash)")
    assert found(program) == {"ledger.order": 1}


def test_checkpoints_that_no_place_has_accepted(
    program: Program, folder: Path, owner: psycopg.Connection, as_worker: Working
) -> None:
    program.decide("alice")
    run(as_worker)
    owner.execute("DELETE FROM log_publication")
    assert found(program) == {}, "not for a day yet"
    owner.execute(OLDER)
    assert found(program) == {"ledger.published": 1}
    run(as_worker)
    assert found(program) == {}, "it was accepted"


def test_where_no_place_is_configured_none_is_awaited(
    program: Program, owner: psycopg.Connection, as_worker: Working
) -> None:
    program.decide("alice")
    run(as_worker)
    owner.execute(OLDER)
    assert found(program) == {}
