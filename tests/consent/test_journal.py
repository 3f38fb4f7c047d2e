"""The journal: every acknowledged ending is in it first, it names nobody, and what is torn or missing is recognised."""

import contextlib
import json
import multiprocessing
import shutil
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

import psycopg
import pytest
from django.core.management import call_command

from consent.journal import files, tasks
from tests.cast import Program, event, now
from tests.consent.acts import status
from tests.consent.journals import AT, Journal, entry, hash_of, journaling, withdrawal, written
from tests.consent.journals import journal as journal
from tests.consent.journals import looked_at_anew as looked_at_anew
from tests.consent.receiver import receiving
from tests.consent.rights import Working, ask, carry_out, erased, file, overdue, problem

# --- What is in it ---------------------------------------------------------------------------------------------------


def test_a_withdrawal_and_a_refusal_of_what_stood_are_told_by_the_handles_hash(
    program: Program, journal: Journal, owner: psycopg.Connection
) -> None:
    pseudonym = program.decide("alice")["subject_id"]
    program.decide("alice", purpose="personalisation")
    assert journal.lines() == []
    program.decide("alice", "withdrawn")
    program.decide("alice", "refused", "personalisation")
    assert journal.told() == [("withdrawal", "analytics"), ("withdrawal", "personalisation")]
    first, done, *_ = journal.lines()
    assert first["handle"] == hash_of(owner, pseudonym)
    assert (done["kind"], done["number"]) == ("committed", first["number"])
    program.decide("alice", "withdrawn")
    program.decide("bob", "refused")
    assert len(journal.told()) == 2, "nothing stood"


@pytest.mark.parametrize("state", ["expired", "invalidated"])
def test_a_withdrawal_of_what_had_ended_by_itself_is_told_since_it_takes_along_what_was_collected(
    program: Program, journal: Journal, owner: psycopg.Connection, state: str
) -> None:
    program.decide("alice")
    owner.execute(
        "UPDATE consent_state SET state = %s, grant_from = NULL, grant_until = NULL, record_from = NULL", [state]
    )
    program.decide("alice", "withdrawn")
    assert journal.told() == [("withdrawal", "analytics")]


def test_a_folder_whose_disk_is_away_is_not_made_anew(program: Program, journal: Journal) -> None:
    """What is written meanwhile would be hidden once the disk is back."""
    for _ in range(2):
        program.decide("alice")
        program.decide("alice", "withdrawn")
    before = journal.folder.rename(journal.folder.with_name("away"))
    program.decide("alice")
    response = program.post("consents", withdrawal())
    assert (response.status_code, response.json()["code"]) == (503, "journal_unavailable")
    shutil.rmtree(journal.folder, ignore_errors=True)
    before.rename(journal.folder)
    assert program.post("consents", withdrawal()).status_code == 201


def test_what_requests_end_is_told_and_what_is_taken_back_after_it(program: Program, journal: Journal) -> None:
    for purpose in ("analytics", "personalisation"):
        program.decide("alice", purpose=purpose)
    file(program, "objection", scope={"purposes": ["analytics"]})
    restriction = file(program, "restriction")
    assert program.post(f"requests/{restriction['request_id']}/withdraw", {}).status_code == 200
    erasure = file(program, "erasure")
    assert program.post(f"requests/{erasure['request_id']}/withdraw", {}).status_code == 200
    file(program, "cancellation")
    assert journal.told() == [
        ("objection", "analytics"),
        ("restriction",),
        ("restriction_lifted",),
        ("erasure",),
        ("erasure_taken_back",),
        ("withdrawal", "personalisation"),
        ("erasure",),
    ]


def test_an_erasure_that_ends_leaves_a_tombstone_before_it(
    program: Program, journal: Journal, owner: psycopg.Connection, as_worker: Working
) -> None:
    handle = hash_of(owner, program.decide("alice")["subject_id"])
    assert erased(program, owner, as_worker)["state"] == "completed"
    assert journal.told() == [("erasure",), ("tombstone",)]
    assert {line["handle"] for line in journal.lines() if "handle" in line} == {handle}


def test_a_restriction_by_a_law_that_keeps_data_takes_no_erasure_back(
    program: Program, journal: Journal, owner: psycopg.Connection, as_worker: Working
) -> None:
    """After a restore what was erased has to go again, whatever is kept."""
    program.decide("alice")
    program.send(event("alice", "e1"))
    call_command(
        "hold", "add", "--program", str(program.id), "--holder", "tracking.events", "--ground", "other",
        "--law", "a law", "--until", (now() + timedelta(days=9)).date().isoformat(),
    )  # fmt: skip
    assert erased(program, owner, as_worker)["state"] == "partially_completed"
    assert journal.told() == [("erasure",), ("restriction",)]


def test_nothing_in_the_journal_names_anybody(program: Program, journal: Journal, owner: psycopg.Connection) -> None:
    pseudonym = program.decide("alice-the-first")["subject_id"]
    program.decide("alice-the-first", "withdrawn")
    file(program, "erasure", "alice-the-first")
    row = owner.execute("SELECT encode(erasure_handle, 'hex'), subject_id FROM subject").fetchone()
    assert row is not None
    written = "".join(path.read_text() for path in files.files(journal.folder))
    assert not [name for name in ("alice", pseudonym, pseudonym.replace("-", ""), row[0]) if name in written]
    known = {"number", "at", "kind", "handle", "purposes", "writer", "chain"}
    assert {key for line in journal.lines() for key in line} == known
    assert {path.stat().st_mode & 0o777 for path in files.files(journal.folder)} == {0o600}


# --- Before the acknowledgement ---------------------------------------------------------------------------------------


def test_without_the_journal_nothing_is_acknowledged_and_nothing_done(
    program: Program, journal: Journal, as_worker: Working, owner: psycopg.Connection
) -> None:
    program.decide("alice")
    program.decide("bob")
    overdue_one = file(program, "erasure", "bob")
    overdue(owner)
    journal.folder.rename(journal.folder.with_name("away"))
    journal.folder.write_text("no folder")
    refused = program.post("consents", withdrawal())
    told = problem(refused, 503, "journal_unavailable")
    assert (told["title"], refused["Retry-After"]) == ("Temporarily unavailable", "5")
    for kind in ("restriction", "erasure", "objection"):
        scope: dict[str, Any] = {"scope": {"purposes": ["analytics"]}} if kind == "objection" else {}
        problem(ask(program, kind, **scope), 503, "journal_unavailable")
    assert status(program, "alice")["allowed"]
    assert carry_out(program, as_worker, overdue_one)["state"] == "in_progress", "an erasure waits for its tombstone"
    journal.folder.unlink()
    journal.folder.with_name("away").rename(journal.folder)
    overdue(owner)
    assert carry_out(program, as_worker, overdue_one)["state"] == "completed"


def test_a_receiver_has_it_before_the_caller_is_answered(program: Program, tmp_path: Path) -> None:
    program.decide("alice")
    with receiving() as receiver, journaling(tmp_path, f"{receiver.url}/entries", "a-token"):
        receiver.status = 500
        problem(program.post("consents", withdrawal()), 503, "journal_unavailable")
        assert status(program, "alice")["allowed"]
        receiver.status = 204
        assert program.post("consents", withdrawal()).status_code == 201
    (path, headers, posted) = receiver.requests[-1]
    entry = json.loads(posted)
    assert (path, headers["authorization"]) == ("/entries", "Bearer a-token")
    assert (entry["kind"], entry["purposes"], entry.keys()) == (
        "withdrawal", ["analytics"], {"number", "at", "kind", "handle", "purposes", "writer"},
    )  # fmt: skip
    assert len(receiver.requests) == 2, "what came about is told to files only"


def test_a_receiver_that_says_nothing_is_not_waited_for_long(
    program: Program, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("consent.journal.webhook.WHOLE_S", 0.3)
    program.decide("alice")
    with receiving() as receiver, journaling(tmp_path, receiver.url):
        receiver.wait.clear()
        began = time.monotonic()
        problem(ask(program, "restriction"), 503, "journal_unavailable")
        assert time.monotonic() - began < 5


def test_a_receiver_that_drips_is_not_waited_for_either(
    program: Program, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each byte comes within what httpx waits for one."""
    monkeypatch.setattr("consent.journal.webhook.WHOLE_S", 0.5)
    program.decide("alice")
    with dripping() as url, journaling(tmp_path, url):
        began = time.monotonic()
        problem(ask(program, "restriction"), 503, "journal_unavailable")
        assert time.monotonic() - began < 5


@contextmanager
def dripping() -> Iterator[str]:
    """A server that sends a header's byte every 0.1 s, to one caller, for 20 s at most."""
    with socket.create_server(("127.0.0.1", 0)) as server:

        def drip() -> None:
            with contextlib.suppress(OSError), server.accept()[0] as caller:
                caller.sendall(b"HTTP/1.1 204 No Content\r\nX: ")
                for _ in range(200):
                    caller.sendall(b"x")
                    time.sleep(0.1)

        thread = threading.Thread(target=drip)
        thread.start()
        yield f"http://127.0.0.1:{server.getsockname()[1]}"
    thread.join()


# --- Files -----------------------------------------------------------------------------------------------------------


def test_a_torn_last_line_is_passed_over_and_the_next_goes_on(tmp_path: Path) -> None:
    sink = written(tmp_path, entry(1), entry(2))
    (path,) = files.files(tmp_path)
    whole = path.read_bytes()
    path.write_bytes(whole[:-9])
    kept = files.read(tmp_path)
    assert ([one.number for one in kept.entries], kept.torn, kept.broken) == ([1], 1, [])
    sink.write(entry(3), durable=True)
    kept = files.read(tmp_path)
    assert ([one.number for one in kept.entries], kept.torn, kept.broken) == ([1, 3], 1, [])
    assert kept.reaches_back_to(1) and not kept.reaches_back_to(0)


@pytest.mark.parametrize("damage", ["a line less", "a line changed", "a file less"])
def test_what_is_missing_or_changed_is_found(tmp_path: Path, damage: str) -> None:
    days = [AT + timedelta(days=day) for day in range(3)]
    written(tmp_path, *(entry(number, day) for number, day in enumerate([*days[:2], days[1], days[1], days[2]], 1)))
    middle = files.files(tmp_path)[1]
    lines = middle.read_bytes().splitlines(keepends=True)
    if damage == "a line less":
        middle.write_bytes(lines[0] + lines[2])
    elif damage == "a line changed":
        middle.write_bytes(lines[0] + lines[1].replace(b"restriction", b"restriction_lifted") + lines[2])
    else:
        middle.unlink()
    kept = files.read(tmp_path)
    assert len(kept.broken) == 1 and not kept.reaches_back_to(9)


def test_a_line_of_yesterday_that_comes_after_midnight_goes_on_in_todays_file(tmp_path: Path) -> None:
    written(tmp_path, entry(1, AT + timedelta(days=1)), entry(2, AT))
    assert [path.name for path in files.files(tmp_path)] == ["journal-2026-03-02.jsonl"]
    assert files.read(tmp_path).broken == []


def _write_many(folder: Path, first: int) -> None:
    written(folder, *(entry(first + place) for place in range(50)))


def test_several_processes_write_one_chain(tmp_path: Path) -> None:
    context = multiprocessing.get_context("fork")
    writers = [context.Process(target=_write_many, args=(tmp_path, 100 * place)) for place in range(4)]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join(60)
    kept = files.read(tmp_path)
    assert (len(kept.entries), kept.torn, kept.broken) == (200, 0, [])
    assert {one.number for one in kept.entries} == {100 * place + number for place in range(4) for number in range(50)}


def test_days_go_that_no_backup_reaches_back_to_but_never_the_newest(tmp_path: Path) -> None:
    written(tmp_path, entry(1), entry(2, AT + timedelta(days=10)), entry(3, AT + timedelta(days=20)))
    today = (AT + timedelta(days=45)).date()
    assert files.drop(tmp_path, kept=timedelta(days=35), today=today) == 1
    assert files.drop(tmp_path, kept=timedelta(days=1), today=today) == 1
    kept = files.read(tmp_path)
    assert ([one.number for one in kept.entries], kept.broken) == ([3], [])


def test_the_hourly_task_marks_how_far_the_database_is_and_purge_names_what_goes(
    program: Program, journal: Journal, settings: Any, capsys: pytest.CaptureFixture[str], as_worker: Working
) -> None:
    settings.ZHIQING_JOURNAL_DIR = journal.folder
    written(journal.folder, entry(1), entry(2, AT + timedelta(days=1)))
    call_command("purge", "--simulate", "--json")
    assert json.loads(capsys.readouterr().out)["journal"] == ["journal-2026-03-01.jsonl"]
    with as_worker():
        tasks.keep()
    assert [path.name for path in files.files(journal.folder)] == [f"journal-{now().date()}.jsonl"]
    (mark,) = journal.lines()
    assert (mark["kind"], files.read(journal.folder).broken) == ("mark", [])
