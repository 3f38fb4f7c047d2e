"""Several machines write journals, each into a folder of its own: a replay finds out which of them it was not given."""

import json
from datetime import timedelta
from pathlib import Path
from typing import Any

import psycopg
import pytest

from consent.journal import files, tasks, writing
from tests.cast import Program
from tests.consent.journals import Journal, database_beside, journaling, went_back, withdrawal
from tests.consent.journals import as_it_was as as_it_was
from tests.consent.journals import journal as journal
from tests.consent.journals import looked_at_anew as looked_at_anew
from tests.consent.receiver import receiving
from tests.consent.rights import Working, file, problem
from tests.stack import manage


def name(folder: Path) -> str:
    found = files.writer_of(folder)
    assert found is not None
    return found


def known(owner: psycopg.Connection) -> list[tuple[str, int]]:
    return owner.execute("SELECT id, number FROM journal_writer ORDER BY number").fetchall()


def given(*folders: Path) -> tuple[str, ...]:
    return tuple(word for folder in folders for word in ("--from", str(folder)))


def replayed(*flags: str) -> Any:
    return json.loads(manage("replay_journal", "--json", *flags, role="worker"))


@pytest.fixture
def machines(program: Program, owner: psycopg.Connection, tmp_path: Path) -> tuple[Path, Path]:
    """Two folders, and a database of before the second one wrote: the first says of it."""
    one, two = tmp_path / "one", tmp_path / "two"
    program.decide("alice")
    program.decide("bob")
    with journaling(one):
        writing.mark()
    with journaling(two):
        assert program.post("consents", withdrawal()).status_code == 201
    with journaling(one) as first:
        file(program, "restriction", "bob")
    went_back(owner, first.lines()[0]["number"])
    owner.execute("DELETE FROM journal_writer WHERE id = %s", [name(two)])
    owner.execute("DELETE FROM service_state")
    return one, two


def test_a_folder_is_known_to_the_database_with_its_first_act_and_to_the_other_folders(
    program: Program, owner: psycopg.Connection, tmp_path: Path
) -> None:
    one, two = tmp_path / "one", tmp_path / "two"
    program.decide("alice")
    with journaling(one) as first:
        assert program.post("consents", withdrawal()).status_code == 201
        assert known(owner) == [(name(one), first.lines()[0]["number"])]
    with journaling(two) as second:
        file(program, "restriction")
    with journaling(one):
        file(program, "erasure")
    assert known(owner)[1:] == [(name(two), second.lines()[0]["number"])]
    assert name(one) != name(two)
    told = [(line["writer"], line.get("beside")) for line in first.lines() + second.lines() if "handle" in line]
    assert told == [(name(one), None), (name(one), [name(two)]), (name(two), [name(one)])]


def test_an_act_that_is_not_acknowledged_makes_nobody_known(
    program: Program, journal: Journal, owner: psycopg.Connection
) -> None:
    program.decide("alice")
    journal.folder.write_text("no folder")
    problem(program.post("consents", withdrawal()), 503, "journal_unavailable")
    assert known(owner) == []


def test_a_replay_refuses_while_a_folder_is_not_given(machines: tuple[Path, Path]) -> None:
    one, two = machines
    for lacking, flags in ((two, given(one)), (one, given(two))):
        for more in ("--dry-run", "--begin"):
            with pytest.raises(RuntimeError, match=f"the journal of {name(lacking)} is not given"):
                replayed(*flags, more)
    whole = replayed("--dry-run", *given(one, two))
    assert (whole["complete"], whole["missing"]) == (True, [])
    without = replayed("--dry-run", *given(one), "--without", name(two))
    assert (without["complete"], without["missing"]) == (True, [])
    lost = replayed("--dry-run", *given(one), "--incomplete")
    assert (lost["complete"], lost["missing"]) == (False, [name(two)])
    replayed(*given(one, two))


def test_the_journal_of_a_machine_that_was_added_reaches_back_if_it_is_whole(machines: tuple[Path, Path]) -> None:
    one, two = machines
    (newest,) = files.files(two)
    newest.write_bytes(b"".join(newest.read_bytes().splitlines(keepends=True)[1:]))
    with pytest.raises(RuntimeError, match="it does not reach back to the backup"):
        replayed("--dry-run", *given(one, two))


def test_the_journal_of_a_machine_that_the_backup_knows_has_to_reach_back(
    machines: tuple[Path, Path], owner: psycopg.Connection
) -> None:
    """It begins anew after the backup: what it had before is gone, and its name is still there."""
    one, two = machines
    owner.execute("INSERT INTO journal_writer (id, number) VALUES (%s, 1)", [name(two)])
    with pytest.raises(RuntimeError, match="it does not reach back to the backup"):
        replayed("--dry-run", *given(one, two))


def test_who_writes_is_not_forgotten(program: Program, journal: Journal, owner: psycopg.Connection) -> None:
    writing.mark()
    owner.execute("UPDATE journal_writer SET at = clock_timestamp() - interval '2 days'")
    program.decide("alice")
    assert program.post("consents", withdrawal()).status_code == 201
    assert owner.execute("SELECT at > clock_timestamp() - interval '1 minute' FROM journal_writer").fetchall() == [
        (True,)
    ]


def test_a_restore_begins_nothing_while_a_folder_is_not_given(
    program: Program, owner: psycopg.Connection, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What a folder has of the time after the restore is in this database, and need not be given."""
    one, two, new = (tmp_path / named for named in ("one", "two", "new"))
    for folder in (one, two):
        with journaling(folder):
            writing.mark()
    kept = tmp_path / "kept.dump"
    manage("backup", "--to", str(kept))
    monkeypatch.setenv("ZHIQING_JOURNAL_DIR", str(new))
    with database_beside(owner, monkeypatch):
        done = json.loads(manage("restore", str(kept), "--json", *given(one)))
        assert (done["epoch"], done["missing"]) == (None, [name(two)])
        assert replayed("--begin", *given(one, two))["epoch"] == 1
        manage("revoke_client", "--program", str(program.id), "--client", str(program.client_id), role="application")
        assert [line["kind"] for line in Journal(new).lines()] == ["restored", "client_revoked", "committed"]
        assert replayed(*given(one, two))["complete"]


def test_what_a_receiver_alone_knows_of_is_asked_for_before_ids_go_on(
    program: Program, owner: psycopg.Connection, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The same backup is restored twice: the second time ids lie above those that were given out in between."""
    kept, lines = tmp_path / "kept.dump", tmp_path / "kept.jsonl"
    with receiving() as receiver:
        monkeypatch.setenv("ZHIQING_JOURNAL_DIR", "")
        monkeypatch.setenv("ZHIQING_JOURNAL_URL", receiver.url)
        manage("backup", "--to", str(kept))
        for epoch in (1, 2):
            with database_beside(owner, monkeypatch):
                done = json.loads(manage("restore", str(kept), "--json"))
                assert (done["epoch"], done["missing"]) == (None, [])
                with pytest.raises(RuntimeError, match="a receiver keeps the journal, and nothing of it is given"):
                    replayed("--begin")
                lines.write_bytes(b"".join(body + b"\n" for _, _, body in receiver.requests))
                assert replayed("--begin", "--from", str(lines))["epoch"] == epoch


def test_who_is_gone_is_forgotten_with_the_last_backup_that_needs_it(
    program: Program, journal: Journal, owner: psycopg.Connection, as_worker: Working, settings: Any
) -> None:
    """Who is not gone is known again with the next entry."""
    settings.ZHIQING_JOURNAL_DIR = journal.folder
    days = settings.ZHIQING_BACKUP_DAYS
    for other, age in (("gone", days + timedelta(hours=1)), ("here", days - timedelta(hours=1))):
        owner.execute("INSERT INTO journal_writer VALUES (%s, 1, clock_timestamp() - %s)", [other, age])
    writing.mark()
    owner.execute(
        "UPDATE journal_writer SET at = clock_timestamp() - %s WHERE id = %s", [days * 2, name(journal.folder)]
    )
    with as_worker():
        tasks.keep()
    assert known(owner) == [("here", 1), (name(journal.folder), journal.lines()[-1]["number"])]
