"""After a restore: nothing is answered, the journal is replayed by the actions of the first time, and then it is."""

import json
import os
import subprocess
import uuid
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from functools import partial
from pathlib import Path

import httpx
import psycopg
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from django.conf import settings
from django.test import Client

from consent.journal import service, writing
from consent.journal.entries import Entry, Kind
from consent.journal.files import FileSink
from consent.journal.service import Standing
from consent.ledger import sinks as published
from consent.ledger.checkpoints import Head, signed
from consent.rights import tasks as rights_tasks
from tests.cast import Program, event, now
from tests.consent.acts import status
from tests.consent.journals import Journal, database_beside, entry, hash_of, journaling, went_back, withdrawal, written
from tests.consent.journals import as_it_was as as_it_was
from tests.consent.journals import journal as journal
from tests.consent.journals import looked_at_anew as looked_at_anew
from tests.consent.receiver import receiving
from tests.consent.rights import Working, file, problem, shown
from tests.faults.serving import wait_for
from tests.journeys.server import serving
from tests.stack import manage

WEBHOOK = ("--url", "https://backend.example/hook", "--events", "consent.changed")

# --- A database that went back ----------------------------------------------------------------------------------------


def test_a_database_that_does_not_say_that_it_is_in_service_answers_nothing(
    program: Program, owner: psycopg.Connection, as_worker: Working
) -> None:
    program.decide("alice")
    request = file(program, "restriction")
    owner.execute("DELETE FROM service_state")
    service._watch.forget()
    try:
        ready = Client().get("/readyz")
        assert (ready.status_code, ready.json()["checks"]["in_service"], ready["Retry-After"]) == (503, False, "1")
        assert Client().get("/healthz").status_code == 200
        asked = {"subject": {"openid": "alice"}, "purposes": ["analytics"]}
        for answer in (
            program.post("events", {"events": [event("alice", "e1")]}),
            program.post("consents/status", asked),
            program.get(f"requests/{request['request_id']}"),
        ):
            problem(answer, 503, "replay_required")
            assert answer["Retry-After"] == "30"
        for page in ("/admin/login/", "/portal/consents"):
            answer = Client().get(page)
            assert (answer.status_code, answer["Retry-After"]) == (503, "30"), page
        with as_worker():
            rights_tasks.fulfil(request["request_id"])
    finally:
        owner.execute("INSERT INTO service_state (id, opened_at) VALUES (1, now())")
        service._watch.forget()
    assert shown(program, request)["state"] == "approved", "workers wait"
    assert Client().get("/readyz").json()["checks"]["in_service"] is True


def test_a_database_behind_the_journal_is_found_whatever_it_says(
    program: Program, journal: Journal, owner: psycopg.Connection
) -> None:
    writing.mark()
    program.decide("alice")
    program.decide("alice", "withdrawn")
    assert service.standing() == Standing.IN_SERVICE
    before = journal.lines()[-1]["number"] - 1
    went_back(owner, before)
    assert service.standing() == Standing.RESTORED
    owner.execute("INSERT INTO journal_given_out VALUES (%s)", [before + 1])
    assert service.standing() == Standing.IN_SERVICE


def test_an_entry_without_a_commit_is_no_sign_of_a_restore(
    program: Program, journal: Journal, owner: psycopg.Connection
) -> None:
    """The process was killed after it had written, or PostgreSQL with the number that it had not made durable yet."""
    program.decide("alice")
    program.decide("alice", "withdrawn")
    last = journal.lines()[-1]["number"]
    written(journal.folder, entry(last + 5, now()))
    assert service.standing() == Standing.IN_SERVICE and writing.confirmed() == last


@pytest.mark.parametrize(
    ("lacking", "back"),
    [
        ("service_state RENAME COLUMN epoch TO other", "service_state RENAME COLUMN other TO epoch"),
        ("journal_given_out RENAME TO other", "other RENAME TO journal_given_out"),
    ],
)
def test_without_the_tables_of_this_version_nothing_was_restored(
    program: Program, owner: psycopg.Connection, lacking: str, back: str
) -> None:
    owner.execute(f"ALTER TABLE {lacking}".encode())
    service._watch.forget()
    try:
        problem(program.get("notices/current"), 503, "not_migrated")
        with pytest.raises(RuntimeError, match="run migrate first"):
            manage("purge", role="worker")
    finally:
        owner.execute(f"ALTER TABLE {back}".encode())


def test_commands_wait_for_a_replay_and_what_goes_before_it_for_ids(
    program: Program, owner: psycopg.Connection
) -> None:
    """Of a database that was restored by other means."""
    owner.execute("DELETE FROM service_state")
    named = ("--program", str(program.id))
    waiting = (
        ("purge",),
        ("purge", "--simulate"),
        ("review", "on", *named, "--kind", "erasure"),
        ("webhook", "rotate", *named, "--endpoint", str(uuid.uuid4())),
        ("keys", "add", "index"),
        ("backup",),
    )
    held: tuple[str, ...] = ("hold", "add", *named, "--holder", "tracking.events", "--ground", "other")
    held += ("--law", "Accounting Law", "--until", "2099-01-01")
    for command in (*waiting, held, ("publish_notice", *named, "docs/examples/notice.yaml")):
        with pytest.raises(RuntimeError, match=r"ids would be given out twice: run replay_journal first"):
            manage(*command, role="worker")
    manage("keys", "list", role="worker")
    given_out = "SELECT last_value FROM audit_entry_id_seq"
    before = owner.execute(given_out).fetchone()
    epoch = json.loads(manage("replay_journal", "--begin", "--json", role="worker"))["epoch"]
    assert service.standing() == Standing.WAITING
    manage(*held, role="application")
    assert owner.execute(
        "SELECT id >> 36, count(*) FROM audit_entry WHERE action = 'hold.made' GROUP BY 1"
    ).fetchall() == [(epoch, 1)], before
    for command in waiting:
        with pytest.raises(RuntimeError, match="the database was restored: run replay_journal first"):
            manage(*command, role="worker")
    assert service.standing() == Standing.WAITING


def test_an_endpoint_that_was_removed_since_is_removed_again_before_the_replay(
    program: Program, owner: psycopg.Connection
) -> None:
    """It would be told of all that is done again."""
    named = ("--program", str(program.id))
    told = [json.loads(manage("webhook", "add", *named, *WEBHOOK, "--json", role="application")) for _ in range(2)]
    removed, off = ((*named, "--endpoint", endpoint["endpoint"]) for endpoint in told)
    owner.execute("DELETE FROM service_state")
    command: tuple[str, ...]
    for command in (("list", *named), ("off", *off), ("remove", *removed)):
        with pytest.raises(RuntimeError, match="ids would be given out twice"):
            manage("webhook", *command, role="application")
    manage("replay_journal", "--begin", role="worker")
    listed = json.loads(manage("webhook", "list", *named, "--json", role="application"))["endpoints"]
    assert {row["endpoint"] for row in listed} == {endpoint["endpoint"] for endpoint in told}
    manage("webhook", "remove", *removed, role="application")
    manage("webhook", "off", *off, role="application")
    assert owner.execute("SELECT id::text, active FROM webhook_endpoint").fetchall() == [(off[-1], False)]
    for command in (("on", *off), ("rotate", *off), ("replay", *off, "--since", "2026-01-01T00:00:00Z")):
        with pytest.raises(RuntimeError, match="the database was restored: run replay_journal first"):
            manage("webhook", *command, role="application")
    assert service.standing() == Standing.WAITING


def test_what_begins_an_epoch_has_no_dry_run(program: Program, journal: Journal) -> None:
    with pytest.raises(RuntimeError, match="no dry run"):
        manage("replay_journal", "--begin", "--dry-run", role="worker")
    assert service.standing() == service.Standing.IN_SERVICE


def test_an_epoch_that_the_journal_does_not_know_is_not_begun(
    program: Program, journal: Journal, owner: psycopg.Connection, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Killed in between, or its disk full. What the journal has to reach back to is kept."""
    program.decide("alice")
    program.decide("alice", "withdrawn")
    monkeypatch.setenv("ZHIQING_JOURNAL_DIR", str(journal.folder))
    monkeypatch.setenv("ZHIQING_JOURNAL_URL", "http://127.0.0.1:9/")
    first = journal.lines()[0]["number"]
    owner.execute("DELETE FROM service_state")
    went_back(owner, first - 1)
    with pytest.raises(RuntimeError, match="journal_unavailable"):
        manage("replay_journal", "--begin", role="worker")
    assert service.standing() == Standing.RESTORED
    monkeypatch.delenv("ZHIQING_JOURNAL_URL")
    manage("replay_journal", "--begin", role="worker")
    assert service.standing() == Standing.WAITING
    with pytest.raises(RuntimeError, match="it does not reach back to the backup"):
        manage("replay_journal", role="worker")


# --- Killed between journal and commit --------------------------------------------------------------------------------


def test_who_is_killed_between_journal_and_commit_has_withdrawn_after_a_replay(
    program: Program, journal: Journal, owner: psycopg.Connection, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The receiver holds the call: the file has the entry by then, and the transaction is open."""
    program.decide("alice")
    with receiving() as receiver:
        monkeypatch.setenv("ZHIQING_JOURNAL_DIR", str(journal.folder))
        monkeypatch.setenv("ZHIQING_JOURNAL_URL", receiver.url)
        receiver.wait.clear()
        with serving(tmp_path, workers=1) as server:
            body = withdrawal()
            call = partial(httpx.post, f"{server.base_url}/api/v1/consents", json=body, trust_env=False, timeout=20)
            with ThreadPoolExecutor(1) as pool:
                asked = pool.submit(call, headers={"Authorization": f"Bearer {program.key}"})
                wait_for("the receiver to be told", lambda: bool(receiver.requests), 20)
                server.kill()
                with pytest.raises(httpx.TransportError):
                    asked.result(20)
    assert journal.told() == [("withdrawal", "analytics")] and status(program, "alice")["state"] == "given"
    assert service.standing() == Standing.IN_SERVICE, "nothing was restored"
    monkeypatch.setenv("ZHIQING_JOURNAL_URL", "")
    owner.execute("DELETE FROM service_state")
    done = json.loads(manage("replay_journal", "--json", "--incomplete", role="worker"))
    assert done["done"]["consents withdrawn"] == 1
    assert status(program, "alice")["state"] == "withdrawn" and service.standing() == Standing.IN_SERVICE


# --- Replaying --------------------------------------------------------------------------------------------------------


def test_a_replay_without_a_complete_journal_has_every_consent_asked_for_anew(
    program: Program, owner: psycopg.Connection, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    program.decide("alice")
    program.decide("bob", "refused")
    owner.execute("DELETE FROM service_state")
    monkeypatch.setenv("ZHIQING_JOURNAL_DIR", str(tmp_path / "none"))
    with pytest.raises(RuntimeError, match="the journal is not complete: there is none"):
        manage("replay_journal", role="worker")
    with pytest.raises(RuntimeError, match="ZHIQING_ROLE=worker"):
        manage("replay_journal", role="application")
    assert service.standing() == Standing.RESTORED
    done = json.loads(manage("replay_journal", "--json", "--incomplete", role="worker"))
    renewed = {"consents to be asked for anew": 1}
    assert (done["complete"], done["done"]) == (False, renewed)
    told = "SELECT details FROM audit_entry WHERE action = 'journal.replayed'"
    assert owner.execute(told).fetchall() == [({"complete": False, "done": renewed, "failed": {}},)]
    service._watch.forget()
    assert status(program, "alice")["renewal_required"] and not status(program, "alice")["allowed"]
    program.decide("alice")
    assert status(program, "alice")["allowed"]


def test_a_journal_that_does_not_reach_back_or_lacks_a_line_is_not_complete(
    program: Program, journal: Journal, owner: psycopg.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ZHIQING_JOURNAL_DIR", str(journal.folder))
    program.decide("alice")
    program.decide("alice", "withdrawn")
    first = journal.lines()[0]["number"]
    owner.execute("DELETE FROM service_state")
    went_back(owner, first - 1)
    with pytest.raises(RuntimeError, match="it does not reach back to the backup"):
        manage("replay_journal", "--dry-run", role="worker")
    owner.execute("INSERT INTO journal_given_out VALUES (%s)", [first])
    assert json.loads(manage("replay_journal", "--dry-run", "--json", role="worker"))["complete"]
    lines = journal.newest().read_bytes().splitlines(keepends=True)
    journal.newest().write_bytes(lines[0] + lines[1].replace(b"committed", b"mark"))
    with pytest.raises(RuntimeError, match=r"lines are missing or were changed before journal-.*:2"):
        manage("replay_journal", "--dry-run", role="worker")
    journal.newest().write_bytes(b"".join(lines))
    manage("replay_journal", role="worker")
    assert service.standing() == Standing.IN_SERVICE


def test_a_consent_given_anew_after_the_withdrawal_stands(
    program: Program, journal: Journal, owner: psycopg.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In a backup that has it, and whenever the journal is replayed again."""
    monkeypatch.setenv("ZHIQING_JOURNAL_DIR", str(journal.folder))
    writing.mark()
    program.decide("alice")
    program.decide("alice", "withdrawn")
    program.decide("alice")
    owner.execute("DELETE FROM service_state")
    done = json.loads(manage("replay_journal", "--json", role="worker"))
    assert (done["replay_required"], done["done"]) == (True, {})
    service._watch.forget()
    assert status(program, "alice")["allowed"]


def test_a_person_whose_key_does_not_open_holds_up_nobody_else(
    program: Program, journal: Journal, owner: psycopg.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is counted, and the service is opened only if that is asked for."""
    monkeypatch.setenv("ZHIQING_JOURNAL_DIR", str(journal.folder))
    writing.mark()
    number = journal.lines()[-1]["number"]
    for place, openid in enumerate(("alice", "bob"), 1):
        handle = hash_of(owner, program.decide(openid)["subject_id"])
        written(journal.folder, Entry(number + place, now(), Kind.RESTRICTION, handle))
    owner.execute(
        "UPDATE data_key SET wrapped = set_byte(wrapped, 40, get_byte(wrapped, 40) # 1)"
        " WHERE subject_id = (SELECT min(subject_id) FROM data_key)"
    )
    owner.execute("DELETE FROM service_state")
    with pytest.raises(RuntimeError, match=r"calls stay refused\n.*data_key_does_not_open \(1\)"):
        manage("replay_journal", role="worker")
    assert owner.execute("SELECT count(*) FROM subject WHERE restricted").fetchone() == (1,)
    assert service.standing() == Standing.WAITING
    with pytest.raises(RuntimeError, match="data_key_does_not_open"):
        manage("replay_journal", "--open-anyway", role="worker")
    assert service.standing() == Standing.IN_SERVICE


def test_a_replay_says_where_the_log_has_less_than_was_published(
    program: Program, owner: psycopg.Connection, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The service is open then, and not ready before another log is begun."""
    head = Head("example.com/ledger", 5, b"0" * 32)
    published.FileSink(tmp_path).publish([signed(head, Ed25519PrivateKey.generate(), at=now())])
    command = ("replay_journal", "--json", "--incomplete")
    assert json.loads(manage(*command, role="worker"))["ledger"] is True
    monkeypatch.setenv("ZHIQING_LEDGER_FOLDER", str(tmp_path))
    assert json.loads(manage(*command, role="worker"))["ledger"] is False


def test_a_receivers_lines_are_replayed_as_well(program: Program, owner: psycopg.Connection, tmp_path: Path) -> None:
    program.decide("alice")
    with receiving() as receiver, journaling(tmp_path / "journal", receiver.url):
        writing.mark()
        file(program, "restriction")
    owner.execute("UPDATE subject SET restricted = false")
    owner.execute("DELETE FROM request_subject")
    owner.execute("DELETE FROM service_state")
    kept = tmp_path / "kept.jsonl"
    kept.write_bytes(b"".join(body + b"\n" for _, _, body in receiver.requests))
    done = json.loads(manage("replay_journal", "--json", "--from", str(kept), role="worker"))
    assert (done["complete"], done["done"]) == (True, {"restrictions": 1})
    assert owner.execute("SELECT restricted FROM subject").fetchone() == (True,)


def test_an_erasure_that_was_done_is_not_reviewed_again_nor_may_it_be_taken_back(
    program: Program, journal: Journal, owner: psycopg.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One that was acknowledged only is, and has what is left of its time."""
    monkeypatch.setenv("ZHIQING_JOURNAL_DIR", str(journal.folder))
    hashes = {
        openid: hash_of(owner, program.decide(openid)["subject_id"]) for openid in ("alice", "bob", "carol", "dave")
    }
    review_rule = "INSERT INTO review_rule (program_id, kind) VALUES (%s, 'erasure')"
    writing.mark()
    sink = FileSink(journal.folder)
    number = journal.lines()[-1]["number"]
    told = [("alice", Kind.ERASURE), ("alice", Kind.TOMBSTONE), ("bob", Kind.ERASURE), ("dave", Kind.ERASURE)]
    for place, (openid, kind) in enumerate([*told, ("carol", Kind.ERASURE), ("carol", Kind.ERASURE_TAKEN_BACK)], 1):
        sink.write(Entry(number + place, now() - timedelta(hours=1), kind, hashes[openid]), durable=True)
    sink.write(Entry(number + 3, now(), Kind.COMMITTED), durable=False)
    owner.execute(review_rule, [program.id])
    owner.execute("DELETE FROM service_state")
    assert json.loads(manage("replay_journal", "--json", role="worker"))["done"] == {"erasures filed": 3}
    found = owner.execute(
        "SELECT r.state, r.approved_by, r.undo_until > clock_timestamp(), r.undo_until < r.received_at + interval '24 hours'"
        " FROM subject_request r ORDER BY 1, 4"
    ).fetchall()
    whole = ("in_review", None, True, False)
    assert found == [("approved", "replay", False, True), whole, ("in_review", None, True, True)], (
        "Dave was told that it was not done"
    )
    again = json.loads(manage("replay_journal", "--json", role="worker"))
    assert (again["replay_required"], again["done"]) == (False, {})
    audited = "SELECT actor, target, details FROM audit_entry WHERE action = 'journal.replayed'"
    details = {"complete": True, "done": {"erasures filed": 3}, "failed": {}}
    assert owner.execute(audited).fetchall() == [("replay", f"program:{program.id}", details)], "once, not for nothing"


def test_a_database_that_is_in_service_is_changed_only_where_that_is_asked_for(
    program: Program, journal: Journal, owner: psycopg.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Who was told that their act could not be journaled was told that nothing was done."""
    monkeypatch.setenv("ZHIQING_JOURNAL_DIR", str(journal.folder))
    handle = hash_of(owner, program.decide("alice")["subject_id"])
    writing.mark()
    written(journal.folder, Entry(journal.lines()[-1]["number"] + 1, now(), Kind.RESTRICTION, handle))
    restricted = "SELECT count(*) FROM subject WHERE restricted"
    for flags, carried_out in (((), False), (("--again", "--dry-run"), False), (("--again",), True)):
        told = json.loads(manage("replay_journal", "--json", *flags, role="worker"))
        assert (told["done"], told["carried_out"]) == ({"restrictions": 1}, carried_out)
        assert owner.execute(restricted).fetchone() == (int(carried_out),)
    assert json.loads(manage("replay_journal", "--json", "--again", role="worker"))["done"] == {}


def test_an_erasure_taken_back_after_the_backup_does_not_run(
    program: Program, journal: Journal, owner: psycopg.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its time to be taken back is over by the restored database's clock."""
    monkeypatch.setenv("ZHIQING_JOURNAL_DIR", str(journal.folder))
    pseudonym = program.decide("alice")["subject_id"]
    filed = file(program, "erasure")
    number = journal.lines()[-1]["number"]
    taken_back = Entry(number + 1, now(), Kind.ERASURE_TAKEN_BACK, hash_of(owner, pseudonym))
    FileSink(journal.folder).write(taken_back, durable=True)
    owner.execute(
        "UPDATE subject_request SET undo_until = clock_timestamp(), received_at = received_at - interval '1 day'"
    )
    assert service.standing() == Standing.RESTORED
    taken_at = json.loads(manage("replay_journal", "--json", role="worker"))
    assert taken_at["done"] == {"erasures taken back": 1}
    service._watch.forget()
    assert shown(program, filed)["state"] == "withdrawn" and status(program, "alice")["allowed"]


# --- Dumps ------------------------------------------------------------------------------------------------------------


def test_a_backup_is_of_a_new_file_and_a_restore_into_an_empty_database(
    program: Program, owner: psycopg.Connection, tmp_path: Path
) -> None:
    kept = tmp_path / "kept.dump"
    manage("backup", "--to", str(kept))
    with pytest.raises(RuntimeError, match="there already"):
        manage("backup", "--to", str(kept))
    with pytest.raises(RuntimeError, match="not empty"):
        manage("restore", str(kept))
    nothing = tmp_path / "nothing.dump"
    nothing.write_bytes(b"no backup")
    with pytest.raises(RuntimeError, match="cannot be read as a backup"):
        manage("restore", str(nothing), "--replace")
    assert service.standing() == Standing.IN_SERVICE
    assert sorted(path.name for path in tmp_path.iterdir()) == ["kept.dump", "nothing.dump"]


@pytest.mark.parametrize("part", ["data", "schema"])
def test_half_a_dump_is_refused_before_anything_is_deleted(
    program: Program, owner: psycopg.Connection, tmp_path: Path, part: str
) -> None:
    kept, tools = tmp_path / "kept.dump", Path(settings.POSTGRES_TOOLS or "")
    here = os.environ["DATABASE_OWNER_URL"]
    subprocess.run(
        [tools / "pg_dump", "--format=custom", f"--{part}-only", f"--file={kept}", f"--dbname={here}"], check=True
    )
    with pytest.raises(RuntimeError, match="not_whole"):
        manage("restore", str(kept), "--replace")
    assert owner.execute("SELECT id FROM program").fetchall() == [(program.id,)]


def test_a_backup_that_was_cut_is_refused_before_anything_is_deleted(
    program: Program, owner: psycopg.Connection, tmp_path: Path
) -> None:
    """Its list is at its head, and whole."""
    kept = tmp_path / "kept.dump"
    manage("backup", "--to", str(kept))
    whole = kept.read_bytes()
    kept.write_bytes(whole[: len(whole) - 4096])
    with pytest.raises(RuntimeError, match="not_whole"):
        manage("restore", str(kept), "--replace")
    assert owner.execute("SELECT id FROM program").fetchall() == [(program.id,)]
    assert [path.name for path in tmp_path.iterdir()] == ["kept.dump"]


def test_a_restored_database_is_never_in_service_whoever_made_the_backup(
    program: Program, owner: psycopg.Connection, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two databases beside the tests': one backup by our command, restored by pg_restore itself, and the other way round."""
    ours, plain = tmp_path / "ours.dump", tmp_path / "plain.dump"
    manage("backup", "--to", str(ours))
    here = os.environ["DATABASE_OWNER_URL"]
    tools = Path(settings.POSTGRES_TOOLS or "")
    subprocess.run([tools / "pg_dump", "--format=custom", f"--file={plain}", f"--dbname={here}"], check=True)
    for kept, by_command in ((ours, False), (plain, True)):
        with database_beside(owner, monkeypatch) as there:
            if by_command:
                manage("restore", str(kept))
            else:
                subprocess.run([tools / "pg_restore", "--no-owner", f"--dbname={there}", str(kept)], check=True)
            with psycopg.connect(there) as restored:
                assert restored.execute("SELECT count(opened_at) FROM service_state").fetchone() == (0,)
                assert restored.execute("SELECT count(*) FROM program").fetchone() == (1,)
