"""verify_ledger on what the log says itself: which records were erased, and how its signing key changed."""

import json
from datetime import timedelta
from pathlib import Path

import psycopg
import pytest

from consent.vault import jws
from tests.cast import Program, now
from tests.consent.rights import erased, file
from tests.consent.signed import Ring
from tests.ledger.logged import Working, run
from tests.ledger.verifying import faults, later, place_of, verify


def test_an_erasure_is_told_until_a_redaction_lists_it(
    log: int, folder: Path, program: Program, owner: psycopg.Connection, as_worker: Working
) -> None:
    places = [place_of(owner, number)[0] for number in (0,)]
    assert erased(program, owner, as_worker)["state"] == "completed"
    run(as_worker)
    first = verify(folder)
    assert (first["redacted"], first["redacted_not_listed"]) == (1, 0)
    said = owner.execute("SELECT content FROM log_statement WHERE type = 3").fetchall()
    assert [row[0]["redacted"] for row in said] == [[{"origin": "zhiqing.invalid/ledger", "indexes": places}]]


def test_redactions_are_listed_once_a_day(
    log: int, folder: Path, program: Program, owner: psycopg.Connection, as_worker: Working
) -> None:
    assert erased(program, owner, as_worker)["state"] == "completed"
    run(as_worker)
    assert erased(program, owner, as_worker, "carol")["state"] == "completed"
    run(as_worker)
    told = verify(folder)
    assert (told["redacted"], told["redacted_not_listed"]) == (1, 1)
    later(as_worker, timedelta(days=1))
    told = verify(folder)
    assert (told["redacted"], told["redacted_not_listed"]) == (2, 0)
    assert owner.execute("SELECT count(*) FROM log_statement WHERE type = 3").fetchone() == (2,)


@pytest.mark.parametrize(("days", "holds"), [(0, True), (1, True), (2, False)])
def test_an_erasure_that_days_of_runs_did_not_list(
    log: int, folder: Path, program: Program, owner: psycopg.Connection, as_worker: Working, days: int, holds: bool
) -> None:
    """Who holds the database takes it out of the queue while the sequencer runs: it would be listed never."""
    assert erased(program, owner, as_worker)["state"] == "completed"
    hidden = owner.execute("DELETE FROM leaf_redacted RETURNING leaf_id, day").fetchall()
    run(as_worker)
    program.decide("frank")
    later(as_worker, timedelta(days=days))
    for row in hidden:
        owner.execute("INSERT INTO leaf_redacted (leaf_id, day) VALUES (%s, %s)", row)
    told = verify(folder, code=0 if holds else 1)
    assert told["redacted_not_listed"] == len(hidden) == 1
    assert [one["fault"] for one in told["findings"]] == ([] if holds else ["record_gone"])


@pytest.mark.parametrize("listed", [False, True])
def test_an_entry_of_the_audit_log_is_never_erased(
    log: int, folder: Path, program: Program, owner: psycopg.Connection, as_worker: Working, listed: bool
) -> None:
    """Who holds the database has the log list it as if it had been."""
    file(program, "access")
    run(as_worker)
    gone = owner.execute("DELETE FROM audit_entry WHERE action = 'request.filed' RETURNING leaf_id").fetchone()
    owner.execute("INSERT INTO leaf_redacted (leaf_id) VALUES (%s)", gone)
    if listed:
        run(as_worker)
    assert owner.execute("SELECT count(*) FROM leaf_redacted").fetchone() == (0 if listed else 1,)
    told = verify(folder, code=1)
    assert (told["redacted"], told["redacted_not_listed"]) == (0, 0)
    assert [one["fault"] for one in told["findings"]] == ["record_gone"]


def test_a_redaction_that_is_gone_or_changed(
    log: int, folder: Path, program: Program, owner: psycopg.Connection, as_worker: Working
) -> None:
    assert erased(program, owner, as_worker)["state"] == "completed"
    run(as_worker)
    owner.execute(
        "UPDATE log_statement SET content = jsonb_set(content, '{redacted,0,indexes}', '[0,1,2]') WHERE type = 3"
    )
    assert "statement_changed" in [fault for fault, _, _ in faults(folder)]
    owner.execute("DELETE FROM log_statement WHERE type = 3")
    found = [fault for fault, _, _ in faults(folder)]
    assert "statement_changed" in found
    assert "record_gone" in found


def test_a_new_key_is_told_by_the_word_of_the_one_before(
    own_ring: Ring, program: Program, folder: Path, owner: psycopg.Connection, as_worker: Working
) -> None:
    program.decide("alice")
    run(as_worker)
    kid = own_ring.rotate(now())
    program.decide("bob")
    run(as_worker)
    assert verify(folder)["holds"]
    said = [row[0] for row in owner.execute("SELECT content FROM log_statement WHERE type = 4 ORDER BY 1").fetchall()]
    assert len(said) == 2
    (change,) = [one for one in said if one["kid"] == kid]
    keys = jws.key_set(json.dumps(program.get("/.well-known/jwks.json").json()).encode())
    signer, told = jws.verify(change["signed"].encode(), keys, typ="ledger-key-change+jws")
    assert signer != kid == told["key"]["kid"]
    run(as_worker)
    assert owner.execute("SELECT count(*) FROM log_statement WHERE type = 4").fetchone() == (2,)


def test_a_key_that_nobody_outside_knows(
    own_ring: Ring, program: Program, folder: Path, as_worker: Working, tmp_path: Path
) -> None:
    """Who holds the server can make a key and sign with it; the public keys that were kept outside have it not."""
    (tmp_path / "jwks.json").write_text(json.dumps(program.get("/.well-known/jwks.json").json()))
    own_ring.rotate(now())
    program.decide("alice")
    run(as_worker)
    found = verify(None, f"--jwks={tmp_path / 'jwks.json'}", code=1)
    assert {one["fault"] for one in found["findings"]} == {"key_not_told", "checkpoint_not_signed"}
