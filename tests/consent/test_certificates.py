"""The certificate of an erasure: every holder's rows before and after, signed, and nobody in it."""

import os
import subprocess
import sys
from datetime import UTC, timedelta
from pathlib import Path
from typing import Any

import psycopg
import pytest

from consent.management.commands.verify_certificate import LABELS
from consent.rights import legal_holds, tasks
from consent.rights.certificates import TYPE
from consent.rights.models import HoldGround
from consent.vault import jws
from tests.cast import Program, now
from tests.consent import signed
from tests.consent.deciding import take_back
from tests.consent.rights import Working, carry_out, erased, file, lively, overdue, problem, shown, work
from tests.consent.test_erasure import far_ids as far_ids
from tests.consent.test_erasure import traces_of
from tests.stack import ROOT


def certificate(program: Program, filed: Any) -> str:
    response = program.get(f"requests/{filed['request_id']}/certificate")
    assert response.status_code == 200, response.content
    return str(response.json()["certificate"])


def refusal(program: Program, filed: Any, status: int, code: str) -> None:
    problem(program.get(f"requests/{filed['request_id']}/certificate"), status, code)


@pytest.mark.parametrize("kind", ["erasure", "cancellation"])
def test_it_tells_what_every_holder_had_and_has(
    program: Program, owner: psycopg.Connection, as_worker: Working, far_ids: None, kind: str
) -> None:
    pseudonym = lively(program)
    lively(program, "bob")
    traces = [str(trace) for trace in traces_of(owner, pseudonym, "alice") if not isinstance(trace, bytes)]
    days = owner.execute(
        "SELECT count(*) FROM subject_day JOIN subject USING (subject_id) WHERE pseudonym = %s", [pseudonym]
    ).fetchone()
    assert days is not None
    filed = file(program, kind)
    refusal(program, filed, 409, "not_completed")
    overdue(owner)
    answer = carry_out(program, as_worker, filed)
    token = certificate(program, filed)
    keys = jws.key_set(program.get("/.well-known/jwks.json").content)
    _, said = jws.verify(token.encode(), keys, typ=TYPE)
    assert said.keys() == LABELS.keys()
    named = owner.execute(
        "SELECT p.name, c.name FROM program p JOIN controller c ON c.id = p.controller_id WHERE p.id = %s", [program.id]
    ).fetchone()
    assert named is not None
    today = now().astimezone(UTC).date().isoformat()
    assert {name: value for name, value in said.items() if name not in ("holders", "ledger")} == {
        "schema_version": "zhiqing-certificate-1",
        "request_id": filed["request_id"],
        "kind": kind,
        "outcome": "completed",
        "service": named[0],
        "controller": named[1],
        "received_on": today,
        "point_of_no_return_on": today,
        "completed_on": today,
    }  # fmt: skip
    before = {row["holder"]: row["rows_before"] for row in said["holders"]}
    assert set(before) == {holder["holder"] for holder in answer["holders"]}
    assert before["tracking.events"] == 6 + days[0]
    assert before["consent.profile"] == 2
    assert before["consent.records"] == (3 + 3 if kind == "erasure" else 3 + 2 + 3 + 2)
    assert {row["rows_after"] for row in said["holders"]} == {0}
    assert not [trace for trace in traces if trace in str(said)]
    assert certificate(program, filed) == token


def test_it_names_what_a_law_keeps_and_no_longer_once_that_is_gone(
    program: Program, owner: psycopg.Connection, as_worker: Working
) -> None:
    lively(program)
    law, until = "E-Commerce Law, Article 31", now().date() + timedelta(days=30)
    hold = legal_holds.hold(
        program_id=program.id,
        holder="tracking.events",
        ground=HoldGround.TRANSACTIONS,
        law=law,
        until=until,
        request_id=None,
        by="test",
    )
    filed = file(program, "cancellation")
    overdue(owner)
    assert carry_out(program, as_worker, filed)["state"] == "partially_completed"
    told = signed.said(certificate(program, filed))
    (events,) = (row for row in told["holders"] if row["holder"] == "tracking.events")
    assert (told["outcome"], events["rows_after"]) == ("partially_completed", events["rows_before"])
    assert events["kept"] == {"law": law, "until": until.isoformat()}
    (profile,) = (row for row in told["holders"] if row["holder"] == "consent.profile")
    assert (profile["rows_before"], profile["rows_after"], profile["kept"]) == (2, 0, None)
    legal_holds.lift(program_id=program.id, hold_id=hold.pk, by="test")
    with as_worker():
        tasks.end_holds()
    refusal(program, filed, 409, "not_completed")
    assert carry_out(program, as_worker, filed)["state"] == "completed"
    told = signed.said(certificate(program, filed))
    (events,) = (row for row in told["holders"] if row["holder"] == "tracking.events")
    assert (events["rows_before"] >= 6, events["rows_after"], events["kept"]) == (True, 0, None)


def test_there_is_none_but_for_what_was_erased(program: Program, owner: psycopg.Connection, as_worker: Working) -> None:
    program.decide("alice")
    refusal(program, file(program, "access"), 404, "no_certificate")
    taken = file(program, "erasure")
    take_back(program, taken)
    refusal(program, taken, 409, "not_erased")
    unknown = file(program, "erasure", "nobody")
    overdue(owner)
    carry_out(program, as_worker, unknown)
    refusal(program, unknown, 409, "no_data_held")
    done = erased(program, owner, as_worker)
    owner.execute("UPDATE subject_request SET point_of_no_return_at = NULL")
    refusal(program, done, 409, "not_counted")


def test_nobody_is_told_to_come_back_for_a_proof_that_never_comes(
    program: Program, owner: psycopg.Connection, as_worker: Working
) -> None:
    """Of an erasure from before its end had an entry with a leaf."""
    lively(program)
    address = f"requests/{erased(program, owner, as_worker)['request_id']}/certificate"
    assert program.get(address)["Retry-After"] == "10"
    owner.execute("DELETE FROM audit_entry WHERE action = 'request.completed'")
    response = program.get(address)
    assert (response.status_code, response.json()["inclusion"]) == (200, None)
    assert "Retry-After" not in response


def test_from_the_point_of_no_return_it_is_not_taken_back(
    program: Program, owner: psycopg.Connection, as_worker: Working
) -> None:
    lively(program)
    filed = file(program, "erasure")
    assert shown(program, filed)["point_of_no_return_at"] is None
    overdue(owner)
    owner.execute("UPDATE holder_run SET not_before = now() + interval '1 hour' WHERE holder = 'consent.records'")
    with as_worker():
        work(program, filed)
    begun = shown(program, filed)
    assert (begun["state"], begun["holders"][0]["status"]) == ("in_progress", "done")
    assert begun["point_of_no_return_at"] > filed["received_at"]
    problem(take_back(program, filed), 409, "point_of_no_return")
    overdue(owner)
    done = carry_out(program, as_worker, filed)
    assert done["state"] == "completed"
    holders = signed.said(certificate(program, filed))["holders"]
    (events,) = (holder for holder in holders if holder["holder"] == "tracking.events")
    assert events["rows_before"] >= 6, "counted before the first holder began, once"


def test_it_needs_the_public_keys_and_nothing_else(
    program: Program, owner: psycopg.Connection, as_worker: Working, tmp_path: Path
) -> None:
    lively(program)
    token = certificate(program, erased(program, owner, as_worker))
    (tmp_path / "jwks.json").write_bytes(program.get("/.well-known/jwks.json").content)
    (tmp_path / "certificate").write_text(token + "\n")
    done = elsewhere(tmp_path)
    assert done.returncode == 0, done.stderr
    assert "outcome: completed" in done.stdout.splitlines()
    assert "holder consent.profile; rows_after 0; rows_before 2" in done.stdout
    flipped = token[:40] + ("A" if token[40] != "A" else "B") + token[41:]
    (tmp_path / "certificate").write_text(flipped)
    done = elsewhere(tmp_path)
    assert (done.returncode, done.stdout) == (1, "")


def elsewhere(folder: Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(ROOT / "manage.py"), "verify_certificate", "certificate"]
    path = {"PATH": os.environ["PATH"]}
    return subprocess.run(command, cwd=folder, env=path, capture_output=True, text=True, check=False)


def test_no_other_byte_passes_and_a_receipt_is_none(
    program: Program, owner: psycopg.Connection, as_worker: Working
) -> None:
    lively(program)
    receipt = signed.given(program)
    token = certificate(program, erased(program, owner, as_worker)).encode()
    keys = jws.key_set(program.get("/.well-known/jwks.json").content)
    for place in range(len(token)):
        for wrong in (token[place] ^ 1, token[place] ^ 32):
            with pytest.raises(jws.NotValid):
                jws.verify(token[:place] + bytes([wrong]) + token[place + 1 :], keys, typ=TYPE)
    with pytest.raises(jws.NotValid):
        jws.verify(receipt.encode(), keys, typ=TYPE)
