"""I4: an erasure leaves nothing of its subject, and everything of everybody else."""

import uuid
from collections.abc import Iterator
from datetime import UTC, timedelta
from typing import Any

import psycopg
import pytest
from psycopg import sql

from consent.programs.tenancy import tenant
from consent.rights import legal_holds, queries, runs, tasks
from consent.rights.models import HoldGround, LegalHold
from tests.cast import Program, event, now
from tests.consent.acts import act
from tests.consent.deciding import approve, take_back
from tests.consent.desk import Desk
from tests.consent.rights import (
    Working,
    carry_out,
    erased,
    file,
    lively,
    overdue,
    package_of,
    problem,
    sections,
    shown,
    subject_of,
)
from tests.consent.test_retrying import raising
from tracking.personal_data import EventHolder


def columns(owner: psycopg.Connection) -> list[tuple[str, str, str]]:
    """(table, column, type) of every table of ours, whatever it is."""
    return owner.execute(
        "SELECT c.relname, a.attname, format_type(a.atttypid, NULL) FROM pg_class c JOIN pg_attribute a"
        " ON a.attrelid = c.oid WHERE c.relnamespace = 'public'::regnamespace AND c.relkind IN ('r', 'p')"
        " AND NOT c.relispartition AND a.attnum > 0 AND NOT a.attisdropped"
    ).fetchall()


def places(owner: psycopg.Connection, traces: list[Any]) -> list[str]:
    """The columns of the whole database in which any of the traces stands, as a value or within one."""
    texts = [str(trace) for trace in traces if not isinstance(trace, bytes)]
    binaries: list[bytes] = [trace for trace in traces if isinstance(trace, bytes)]
    binaries += [text.encode() for text in texts if not text.isdecimal()]
    found = []
    wanted: list[Any]
    for table, column, kind in columns(owner):
        name = sql.Identifier(column)
        if kind == "bytea":
            wanted, test = binaries, sql.SQL("position(trace in {}) > 0").format(name)
        elif kind in ("bigint", "integer", "smallint"):
            wanted, test = [t for t in texts if t.isdecimal()], sql.SQL("{}::text = trace").format(name)
        else:
            wanted, test = texts, sql.SQL("position(trace in {}::text) > 0").format(name)
        query = sql.SQL("SELECT count(*) FROM {}, unnest(%s::{}[]) AS trace WHERE {}").format(
            sql.Identifier(table), sql.SQL("bytea" if kind == "bytea" else "text"), test
        )
        row = owner.execute(query, [wanted]).fetchone()
        if row is not None and row[0]:
            found.append(f"{table}.{column}")
    return found


def traces_of(owner: psycopg.Connection, pseudonym: str, openid: str) -> list[Any]:
    """All by which a subject could be found again: id, pseudonym, handle, indexes, records, identifier, event ids."""
    subject_id = subject_of(owner, pseudonym)
    row = owner.execute("SELECT erasure_handle FROM subject WHERE subject_id = %s", [subject_id]).fetchone()
    assert row is not None
    indexes = owner.execute("SELECT index FROM subject_lookup WHERE subject_id = %s", [subject_id]).fetchall()
    records = owner.execute(
        "SELECT record_id::text, salt, idempotency FROM consent_record WHERE subject_id = %s", [subject_id]
    ).fetchall()
    found = [subject_id, pseudonym, openid, bytes(row[0]), *[bytes(i[0]) for i in indexes]]
    for record in records:
        found += [record[0], bytes(record[1]), *([bytes(record[2])] if record[2] else [])]
    return found


@pytest.fixture
def far_ids(owner: psycopg.Connection, database: None) -> Iterator[None]:
    """Subject ids unlike any other number in the database."""
    owner.execute("ALTER TABLE subject ALTER COLUMN subject_id RESTART WITH 7340033001")
    yield
    owner.execute("ALTER TABLE subject ALTER COLUMN subject_id RESTART WITH 1")


def test_an_erasure_leaves_no_trace_in_any_table(
    program: Program, owner: psycopg.Connection, as_worker: Working, far_ids: None
) -> None:
    pseudonym = lively(program)
    consent = {
        "subject": {"openid": "alice"}, "notice": program.notice,
        "locale": "en",
        "method": "dialog",
        "act": "single",
        "decisions": [{"purpose": "analytics", "decision": "given"}],
    }  # fmt: skip
    assert program.post("consents", consent, Idempotency_Key="for-alice").status_code == 201
    carry_out(program, as_worker, file(program, "access"))
    changes = {"identifiers": {"unionid": "u-alice"}}
    asked = {"subject": {"openid": "alice"}, "kind": "rectification", "locale": "en", "changes": changes}
    rectified = program.post("requests", asked, Idempotency_Key="also-for-alice").json()
    carry_out(program, as_worker, rectified)
    traces = traces_of(owner, pseudonym, "alice")
    before = places(owner, traces)
    assert {"subject.subject_id", "event.subject_id", "subject_lookup.index", "package.subject_id"} <= set(before)
    answer = erased(program, owner, as_worker)
    assert answer["state"] == "completed"
    assert places(owner, traces) == ["idempotency_record.key_hash"]
    owner.execute("UPDATE idempotency_record SET created_at = now() - interval '25 hours'")
    with as_worker():
        tasks.housekeep()
    assert places(owner, traces) == []
    assert owner.execute("SELECT count(idempotency) FROM subject_request").fetchone() == (0,)
    affected = {holder["holder"]: holder["affected"] for holder in answer["holders"]}
    assert affected["tracking.events"] == 6
    assert {holder["status"] for holder in answer["holders"]} == {"done"}


def test_another_subjects_rows_are_as_they_were(
    program: Program, owner: psycopg.Connection, as_worker: Working
) -> None:
    lively(program)
    bob = subject_of(owner, lively(program, "bob"))

    def rows() -> list[Any]:
        owned = sorted({table for table, column, _ in columns(owner) if column == "subject_id"})
        return [
            owner.execute(
                sql.SQL("SELECT * FROM {} WHERE subject_id = %s ORDER BY 1, 2, 3").format(sql.Identifier(table)), [bob]
            ).fetchall()
            for table in owned
        ]

    before = rows()
    assert erased(program, owner, as_worker)["state"] == "completed"
    assert rows() == before
    assert program.send(event("bob", "after"))["stored"] == 1


def test_the_same_openid_is_a_new_subject_afterwards(
    program: Program, owner: psycopg.Connection, as_worker: Working
) -> None:
    pseudonym = lively(program)
    row = owner.execute("SELECT erasure_handle FROM subject").fetchone()
    erased(program, owner, as_worker)
    assert program.send(event("alice", "after"))["results"][0]["code"] == "consent_missing"
    (status,) = program.post("consents/status", {"subject": {"openid": "alice"}, "purposes": ["analytics"]}).json()
    assert (status["state"], status["may_prompt"]) == ("unknown", True)
    assert program.decide("alice")["subject_id"] != pseudonym
    assert owner.execute("SELECT erasure_handle FROM subject").fetchone() != row
    assert program.send(event("alice", "after"))["stored"] == 1


def test_what_stays_of_a_request_names_days_only(
    program: Program, owner: psycopg.Connection, as_worker: Working
) -> None:
    lively(program)
    carry_out(program, as_worker, file(program, "access"))
    file(program, "access")
    owner.execute("UPDATE holder_run SET not_before = now() + interval '1 h' WHERE status = 'pending'")
    erased(program, owner, as_worker)
    for table, times in (
        ("subject_request", "received_at, due_at, undo_until, closed_at"),
        ("holder_run", "not_before, finished_at, lease_until"),
        ("audit_entry WHERE details ->> 'kind' = 'erasure'", "at"),
        ("audit_entry WHERE action = 'request.completed_no_data'", "at"),
    ):
        rows = owner.execute(f"SELECT {times} FROM {table}").fetchall()
        assert rows
        found = {moment.astimezone(UTC).strftime("%H%M%S%f") for row in rows for moment in row if moment}
        assert found == {"000000000000"}, table
    assert owner.execute("SELECT DISTINCT attempts, lease_token FROM holder_run").fetchall() == [(0, None)]
    assert owner.execute("SELECT count(*) FROM request_subject").fetchone() == (0,)


def test_a_consent_sent_again_does_not_make_the_person_anew(
    program: Program, owner: psycopg.Connection, as_worker: Working
) -> None:
    body = act(program, ("analytics", "given"), subject={"openid": "alice"})
    assert program.post("consents", body, Idempotency_Key="k").status_code == 201
    assert erased(program, owner, as_worker)["state"] == "completed"
    problem(program.post("consents", body, Idempotency_Key="k"), 409, "subject_erased")
    assert owner.execute("SELECT count(*) FROM subject").fetchone() == (0,)


def test_an_erasure_leaves_another_clients_idempotency_key(
    program: Program, owner: psycopg.Connection, as_worker: Working
) -> None:
    alices, bobs = (act(program, ("analytics", "given"), subject={"openid": openid}) for openid in ("alice", "bob"))
    first_key, second_key = program.key, program.key_with("consents")
    assert program.post("consents", alices, Idempotency_Key="same").status_code == 201
    program.key = second_key
    first = program.post("consents", bobs, Idempotency_Key="same")
    assert first.status_code == 201
    program.key = first_key
    erased(program, owner, as_worker)
    program.key = second_key
    assert program.post("consents", bobs, Idempotency_Key="same").json() == first.json()


def test_open_requests_end_with_their_subject(program: Program, owner: psycopg.Connection, as_worker: Working) -> None:
    lively(program)
    access = file(program, "access")
    with as_worker():
        # A worker is half-way through the package when the erasure begins.
        held = runs.claim(program.id, uuid.UUID(access["request_id"]), lease=timedelta(seconds=30))
    assert held is not None
    assert erased(program, owner, as_worker)["state"] == "completed"
    answer = shown(program, access)
    assert (answer["state"], {h["status"] for h in answer["holders"]}) == ("completed_no_data", {"done"})
    with as_worker(), pytest.raises(runs.LeaseLost), runs.step(held):
        pytest.fail("the worker goes on")


def kept(program: Program, holder: str = "tracking.events") -> LegalHold:
    return legal_holds.hold(
        program_id=program.id, holder=holder, ground=HoldGround.OTHER, law="a law",
        until=now().date() + timedelta(days=2), request_id=None, by="test",
    )  # fmt: skip


def test_what_was_asked_beside_it_is_answered_with_what_a_law_keeps(
    program: Program, owner: psycopg.Connection, as_worker: Working
) -> None:
    """Nothing is told to be held no more that is held still; and nothing that was asked is lost."""
    lively(program)
    hold = kept(program)
    access, claim = file(program, "access"), file(program, "copy", requester="agent")
    with as_worker():
        begun = runs.claim(program.id, uuid.UUID(access["request_id"]), lease=timedelta(seconds=30))
    assert begun is not None
    owner.execute("UPDATE holder_run SET status = 'done', finished_at = now() WHERE holder = 'consent.records'")
    filed = file(program, "erasure")
    overdue(owner)
    owner.execute("UPDATE holder_run SET not_before = now() + interval '1 h' WHERE holder = 'consent.subject'")
    assert carry_out(program, as_worker, filed)["state"] == "in_progress"
    with as_worker(), pytest.raises(runs.LeaseLost), runs.step(begun):
        pytest.fail("the worker goes on")
    stopped = carry_out(program, as_worker, access)
    assert stopped["state"] == "in_progress" and {h["status"] for h in stopped["holders"]} == {"pending"}
    owner.execute("UPDATE subject_request SET due_at = received_at WHERE kind = 'access'")
    with tenant(program.id):
        assert [one.kind for one in queries.overdue(program.id, now=now())] == ["access"], "it is seen meanwhile"
    overdue(owner)
    assert carry_out(program, as_worker, filed)["state"] == "partially_completed"
    assert shown(program, claim)["state"] == "verifying"
    assert carry_out(program, as_worker, access)["state"] == "completed"
    found = sections(package_of(program, access))
    assert len(found["events"]) == 6 and "attributes" not in found and "records" not in found
    legal_holds.lift(program_id=program.id, hold_id=hold.pk, by="test")
    with as_worker():
        tasks.end_holds()
    assert carry_out(program, as_worker, filed)["state"] == "in_progress", "the package goes, too"
    assert shown(program, claim)["state"] == "verifying"
    overdue(owner)
    assert carry_out(program, as_worker, filed)["state"] == "completed"
    assert shown(program, claim)["state"] == "completed_no_data"


def test_what_a_transfer_and_a_claim_ask_is_still_known_after_what_a_law_keeps(
    program: Program, desk: Desk, owner: psycopg.Connection, as_worker: Working
) -> None:
    lively(program)
    kept(program)
    carry_out(program, as_worker, file(program, "access"))
    transfer = file(program, "portability", recipient={"name": "Canary Ltd"})
    assert transfer["state"] == "in_review"
    filed = file(program, "erasure")
    assert approve(desk, transfer) == "The person is being erased; nothing was changed."
    overdue(owner)
    assert carry_out(program, as_worker, filed)["state"] == "partially_completed"
    left = "SELECT kind FROM request_subject WHERE sealed IS NOT NULL"
    assert owner.execute(left).fetchall() == [("portability",)]
    assert approve(desk, transfer) == "The request is approved."
    assert carry_out(program, as_worker, transfer)["state"] == "completed"


def test_what_was_asked_beside_an_erasure_that_is_given_up_goes_on_once_it_is_taken_back(
    program: Program, owner: psycopg.Connection, as_worker: Working, monkeypatch: pytest.MonkeyPatch
) -> None:
    lively(program)
    access = file(program, "access")
    filed = file(program, "erasure")
    overdue(owner)
    owner.execute("UPDATE holder_run SET attempts = 9")
    with monkeypatch.context() as patched:
        patched.setattr(EventHolder, "erase", raising)
        assert carry_out(program, as_worker, filed)["state"] == "failed"
    assert carry_out(program, as_worker, access)["state"] == "approved", "its package could be handed to nobody"
    assert take_back(program, filed).status_code == 200
    assert carry_out(program, as_worker, access)["state"] == "completed"
    assert len(sections(package_of(program, access))["events"]) == 6


def test_rows_that_come_back_are_erased_before_the_request_completes(
    program: Program, owner: psycopg.Connection, as_worker: Working
) -> None:
    """Every holder is read again at the end: what reached one after its run sends that run back to work."""
    alice = subject_of(owner, lively(program))
    filed = file(program, "erasure")
    overdue(owner)
    owner.execute("UPDATE holder_run SET not_before = now() + interval '1 hour' WHERE holder = 'consent.subject'")
    assert carry_out(program, as_worker, filed)["state"] == "in_progress"
    owner.execute("INSERT INTO subject_day SELECT %s, current_date, %s", [alice, program.id])
    overdue(owner)
    answer = carry_out(program, as_worker, filed)
    assert answer["state"] == "in_progress"
    assert {h["holder"] for h in answer["holders"] if h["status"] == "pending"} == {
        "tracking.events",
        "consent.subject",
    }
    overdue(owner)
    assert carry_out(program, as_worker, filed)["state"] == "completed"
    assert owner.execute("SELECT count(*) FROM subject_day").fetchone() == (0,)
