"""Checkpoints leave the database, nothing of them is lost on the way, and a log that is less than they say never goes on."""

import io
import json
from pathlib import Path
from typing import Any

import psycopg
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from django.conf import settings
from django.core.management import CommandError, call_command
from django.test import Client

from consent import edge
from consent.ledger import checkpoints, sinks, tasks
from consent.ledger.checkpoints import Head
from consent.ledger.models import LogCheckpoint, LogOrigin
from consent.ledger.sequencer import Behind
from tests.cast import Program, now
from tests.ledger.logged import Working, head, leaves, placed, run
from tests.ledger.verifying import faults, verify


def published(folder: Path) -> list[str]:
    return [json.loads(line)["checkpoint"] for line in (folder / sinks.FILE).read_text().splitlines()]


def ready() -> bool:
    told: bool = Client().get("/readyz").json()["checks"]["ledger"]
    return told


def begin(as_worker: Working, name: str, *more: str) -> Any:
    out = io.StringIO()
    settings.ROLE = "worker"
    try:
        with as_worker():
            call_command("ledger", "new-origin", name, "--json", *more, stdout=out, stderr=io.StringIO())
    finally:
        settings.ROLE = "application"
    return json.loads(out.getvalue())


def test_the_file_has_every_checkpoint_in_its_order(program: Program, folder: Path, as_worker: Working) -> None:
    for name in ("alice", "bob", "carol"):
        program.decide(name)
        run(as_worker)
    run(as_worker)
    assert published(folder) == list(LogCheckpoint.objects.order_by("size").values_list("note", flat=True))
    assert [head(note).size for note in published(folder)] == sorted({head(note).size for note in published(folder)})
    assert (folder / sinks.FILE).stat().st_mode & 0o007 == 0 or (folder.stat().st_mode & 0o007) == 0


def test_what_could_not_be_published_is_by_the_next_run(program: Program, folder: Path, as_worker: Working) -> None:
    program.decide("alice")
    folder.write_text("in its place there is a file")
    with pytest.raises(sinks.Unreachable):
        run(as_worker)
    folder.unlink()
    program.decide("bob")
    run(as_worker)
    assert published(folder) == [LogCheckpoint.objects.get().note]


def test_a_line_that_a_loss_of_power_tore_is_left_and_the_next_is_whole(
    program: Program, folder: Path, as_worker: Working
) -> None:
    program.decide("alice")
    run(as_worker)
    with (folder / sinks.FILE).open("a") as file:
        file.write('{"checkpoint": "zhiq')
    program.decide("bob")
    run(as_worker)
    lines = (folder / sinks.FILE).read_text().splitlines()
    assert len(lines) == 3
    assert list(sinks.notes_in([line.encode() for line in lines])) == [
        one.note for one in LogCheckpoint.objects.order_by("size")
    ]
    assert sinks.FileSink(folder).newest() == LogCheckpoint.objects.order_by("-size")[0].note


def test_a_folder_that_is_not_mounted_is_not_taken_for_an_empty_one(
    program: Program, folder: Path, owner: psycopg.Connection, as_worker: Working
) -> None:
    program.decide("alice")
    run(as_worker)
    size = len(placed(owner))
    (folder / sinks.FILE).rename(folder.with_name("elsewhere"))
    program.decide("bob")
    with pytest.raises(sinks.Unreachable, match="not mounted"):
        run(as_worker)
    folder.rmdir()
    with pytest.raises(sinks.Unreachable, match="not mounted"):
        run(as_worker)
    assert not folder.exists()
    assert len(placed(owner)) == size, "the log waits"
    folder.mkdir()
    folder.with_name("elsewhere").rename(folder / sinks.FILE)
    run(as_worker)
    assert placed(owner) == leaves(owner)


def test_what_the_folder_lies_in_is_never_made(program: Program, folder: Path, as_worker: Working) -> None:
    settings.ZHIQING_LEDGER_FOLDER = folder / "below"
    program.decide("alice")
    run(as_worker)
    assert not folder.exists()
    folder.mkdir()
    run(as_worker)
    assert published(folder / "below") == [LogCheckpoint.objects.get().note]


def test_a_webhook_gets_the_newest_and_again_until_it_takes_it(
    program: Program, as_worker: Working, webhook: Any
) -> None:
    webhook.status = 500
    program.decide("alice")
    run(as_worker)
    program.decide("bob")
    webhook.status = 204
    run(as_worker)
    run(as_worker)
    first, second = LogCheckpoint.objects.order_by("size")
    assert [body.decode() for _, _, body in webhook.requests] == [first.note, second.note]
    assert ready()


def test_a_place_that_holds_more_stops_the_log_by_409(
    program: Program, owner: psycopg.Connection, as_worker: Working, webhook: Any
) -> None:
    webhook.status = 409
    program.decide("alice")
    run(as_worker)
    assert not ready()
    program.decide("bob")
    with pytest.raises(Behind):
        run(as_worker)
    assert placed(owner) != leaves(owner)


def test_a_log_smaller_than_what_the_database_says_was_taken_does_not_go_on(
    program: Program, owner: psycopg.Connection, as_worker: Working, webhook: Any
) -> None:
    """A webhook cannot be asked what it holds."""
    program.decide("alice")
    run(as_worker)
    assert ready()
    program.decide("bob")
    owner.execute("DELETE FROM log_checkpoint")
    assert not ready()
    with pytest.raises(Behind, match="more was published"):
        run(as_worker)
    for table in ("log_leaf", "log_node", "log_statement", "log_origin"):
        owner.execute(f"DELETE FROM {table}".encode())
    with pytest.raises(Behind, match="more was published"):
        run(as_worker)


def test_a_checkpoint_that_the_operator_brings_shows_the_need_of_a_new_origin(
    program: Program, owner: psycopg.Connection, as_worker: Working, webhook: Any, tmp_path: Path
) -> None:
    """Of a restored database nobody but the webhook's receiver knows that it had come further."""
    program.decide("alice")
    run(as_worker)
    known, key = LogCheckpoint.objects.get(), edge.vault().keyring.signing.keys[-1].private
    assert key is not None
    brought = tmp_path / "brought"
    brought.write_text(known.note)
    with pytest.raises(CommandError, match="there is no need"):
        begin(as_worker, "example.com/ledger-2", f"--checkpoint={brought}")
    more = Head(edge.ledger_origin(), known.size + 3, bytes(32))
    brought.write_text(checkpoints.signed(more, Ed25519PrivateKey.generate(), at=now()))
    with pytest.raises(CommandError, match="cannot be gone on from"):
        begin(as_worker, "example.com/ledger-2", f"--checkpoint={brought}")
    brought.write_text(checkpoints.signed(more, key, at=now()))
    made = begin(as_worker, "example.com/ledger-2", f"--checkpoint={brought}")
    assert (made["published"], made["held"]) == (known.size + 3, known.size)
    program.decide("bob")
    run(as_worker)
    assert ready()
    assert placed(owner) == leaves(owner)


def test_the_folder_may_know_less_than_the_checkpoint_that_is_gone_on_from(
    program: Program, folder: Path, as_worker: Working, tmp_path: Path
) -> None:
    program.decide("alice")
    run(as_worker)
    key = edge.vault().keyring.signing.keys[-1].private
    assert key is not None
    more = Head(edge.ledger_origin(), LogCheckpoint.objects.get().size + 3, bytes(32))
    (tmp_path / "brought").write_text(checkpoints.signed(more, key, at=now()))
    begin(as_worker, "example.com/ledger-2", f"--checkpoint={tmp_path / 'brought'}")
    run(as_worker)
    assert ready()
    assert head(published(folder)[-1]).origin == "example.com/ledger-2"


# --- After a restore to less -------------------------------------------------------------------------------------------


@pytest.fixture
def lost(program: Program, folder: Path, owner: psycopg.Connection, as_worker: Working) -> int:
    """The database is what it was at an earlier checkpoint, whose size is answered; the file knows of a later one."""
    program.decide("alice")
    run(as_worker)
    size = LogCheckpoint.objects.get().size
    program.decide("bob")
    run(as_worker)
    behind = 'SELECT leaf_id FROM log_leaf WHERE "index" >= %s'
    owner.execute(
        f"DELETE FROM consent_state WHERE record_id IN (SELECT id FROM consent_record WHERE leaf_id IN ({behind}))".encode(),
        [size],
    )
    for table in ("consent_record", "audit_entry"):
        owner.execute(f"DELETE FROM {table} WHERE leaf_id IN ({behind})".encode(), [size])
    owner.execute(f"DELETE FROM leaf WHERE id IN ({behind})".encode(), [size])
    owner.execute('DELETE FROM log_leaf WHERE "index" >= %s', [size])
    owner.execute("DELETE FROM log_node WHERE (position + 1) << level > %s", [size])
    owner.execute("DELETE FROM log_checkpoint WHERE size > %s", [size])
    owner.execute("DELETE FROM log_publication WHERE size > %s", [size])
    return size


def test_a_log_smaller_than_what_was_published_never_goes_on(
    lost: int, program: Program, owner: psycopg.Connection, as_worker: Working
) -> None:
    assert not ready()
    assert Client().get("/readyz").status_code == 503
    program.decide("carol")
    program.decide("dave")
    for _ in range(2):
        with pytest.raises(Behind, match="does not begin with what was published"):
            run(as_worker)
    assert owner.execute("SELECT count(*) FROM log_leaf").fetchone() == (lost,)


def test_an_emptied_database_does_not_begin_the_log_again(
    lost: int, program: Program, owner: psycopg.Connection, as_worker: Working
) -> None:
    for table in ("log_leaf", "log_node", "log_statement", "log_checkpoint", "log_publication", "log_origin"):
        owner.execute(f"DELETE FROM {table}".encode())
    assert not ready()
    with pytest.raises(Behind, match="the database has no log"):
        run(as_worker)


def test_a_new_origin_names_the_old_checkpoint_and_the_gap_and_goes_on(
    lost: int, program: Program, folder: Path, owner: psycopg.Connection, as_worker: Working
) -> None:
    program.decide("carol")
    old = published(folder)[-1]
    looked = begin(as_worker, "example.com/ledger-2", "--dry-run")
    assert (looked["begun"], LogOrigin.objects.count()) == (False, 1)
    made = begin(as_worker, "example.com/ledger-2")
    assert made == {
        "origin": "example.com/ledger-2", "previous": old, "published": checkpoints.read(old).size, "held": lost, "earlier": [],
        "begun": True,
    }  # fmt: skip
    run(as_worker)
    assert ready()
    assert placed(owner) == leaves(owner)
    said = owner.execute('SELECT content FROM log_statement WHERE origin = 2 AND "index" = 0').fetchone()
    assert said == (
        {
            "origin": "example.com/ledger-2",
            "previous": old,
            "gap": {"published": checkpoints.read(old).size, "held": lost},
        },
    )
    assert head(published(folder)[-1]).origin == "example.com/ledger-2"
    told = verify(folder)
    assert told["gaps"] == [
        {
            "origin": "zhiqing.invalid/ledger",
            "published": made["published"],
            "held": lost,
            "told_by": "example.com/ledger-2",
        }
    ], "what is lost stays lost, and is told"
    assert [one["origin"] for one in told["logs"]] == ["zhiqing.invalid/ledger", "example.com/ledger-2"]


@pytest.fixture
def gone_on(lost: int, program: Program, folder: Path, as_worker: Working) -> tuple[int, int]:
    """After a loss, and a new origin: how many leaves of the old log are held and were published."""
    program.decide("carol")
    made = begin(as_worker, "example.com/ledger-2")
    run(as_worker)
    return lost, made["published"]


def test_what_no_place_took_of_a_log_that_ended_is_proved_by_its_last_checkpoint(
    gone_on: tuple[int, int], program: Program, owner: psycopg.Connection
) -> None:
    """Nothing of it is published any more: to wait for that would be for ever."""
    owner.execute("DELETE FROM log_publication WHERE origin = 1")
    alices = owner.execute("SELECT record_id FROM consent_record ORDER BY id LIMIT 1").fetchone()
    assert alices is not None
    told = program.get(f"receipts/{alices[0]}").json()
    assert told["inclusion"] is not None
    assert head(told["checkpoint"]).origin == "zhiqing.invalid/ledger"


def test_more_than_the_gap_that_was_told_is_a_finding(
    gone_on: tuple[int, int], folder: Path, owner: psycopg.Connection
) -> None:
    held, size = gone_on
    owner.execute('DELETE FROM log_leaf WHERE origin = 1 AND "index" = %s', [held - 1])
    owner.execute("DELETE FROM log_node WHERE origin = 1 AND (position + 1) << level > %s", [held - 1])
    assert ("rows_gone", f"log_leaf 1/{held - 1} to {size - 1}") in [(fault, row) for fault, row, _ in faults(folder)]


def test_a_checkpoint_beyond_the_gap_that_was_told_is_a_finding(gone_on: tuple[int, int], folder: Path) -> None:
    held, size = gone_on
    key = edge.vault().keyring.signing.keys[-1].private
    assert key is not None
    for more in (Head("zhiqing.invalid/ledger", size, bytes(32)), Head("zhiqing.invalid/ledger", size + 1, bytes(32))):
        with (folder / sinks.FILE).open("a") as file:
            file.write(json.dumps({"checkpoint": checkpoints.signed(more, key, at=now())}) + "\n")
        assert faults(folder) == [("rows_gone", f"log_leaf 1/{held} to {more.size - 1}", held)]


def test_where_a_log_goes_on_from_is_what_its_first_leaf_says(
    gone_on: tuple[int, int], folder: Path, owner: psycopg.Connection
) -> None:
    held, size = gone_on
    changed = "UPDATE log_origin SET previous = {} WHERE number = 2"
    for value in ("NULL", "(SELECT note FROM log_checkpoint WHERE origin = 1)"):
        owner.execute(changed.format(value).encode())
        assert faults(folder) == [
            ("statement_changed", "log_origin 2", None),
            ("rows_gone", f"log_leaf 1/{held} to {size - 1}", held),
        ]


def test_a_log_of_which_nothing_is_left_is_told(
    lost: int, program: Program, folder: Path, owner: psycopg.Connection, as_worker: Working
) -> None:
    owner.execute("INSERT INTO leaf_waiting SELECT leaf_id FROM log_leaf WHERE leaf_id IS NOT NULL")
    for table in ("log_leaf", "log_node", "log_statement", "log_checkpoint", "log_publication", "log_origin"):
        owner.execute(f"DELETE FROM {table}".encode())
    made = begin(as_worker, "example.com/ledger-2")
    run(as_worker)
    (gap,) = verify(folder)["gaps"]
    assert (gap["origin"], gap["held"], gap["published"]) == ("zhiqing.invalid/ledger", 0, made["published"])


@pytest.fixture
def lost_twice(gone_on: tuple[int, int], folder: Path, owner: psycopg.Connection) -> tuple[int, int]:
    """The same backup is restored again: nothing is left of the second log, and of the first what there was."""
    owner.execute("INSERT INTO leaf_waiting SELECT leaf_id FROM log_leaf WHERE origin = 2 AND leaf_id IS NOT NULL")
    for table in ("log_leaf", "log_node", "log_statement", "log_checkpoint", "log_publication"):
        owner.execute(f"DELETE FROM {table} WHERE origin = 2".encode())
    owner.execute("DELETE FROM log_origin WHERE number = 2")
    return gone_on


def test_after_a_second_loss_the_first_one_is_told_as_well(
    lost_twice: tuple[int, int], folder: Path, as_worker: Working
) -> None:
    held, size = lost_twice
    second = checkpoints.read(published(folder)[-1])
    assert second.origin == "example.com/ledger-2"
    made = begin(as_worker, "example.com/ledger-3")
    assert (made["held"], made["published"]) == (0, second.size)
    assert made["earlier"] == [{"origin": "zhiqing.invalid/ledger", "published": size, "held": held}]
    run(as_worker)
    assert ready()
    told = verify(folder)
    assert [(gap["origin"], gap["published"], gap["held"], gap["told_by"]) for gap in told["gaps"]] == [
        ("example.com/ledger-2", second.size, 0, "example.com/ledger-3"),
        ("zhiqing.invalid/ledger", size, held, "example.com/ledger-3"),
    ]


def test_after_a_second_loss_a_place_that_stayed_behind_holds_nothing_up(
    lost_twice: tuple[int, int], folder: Path, as_worker: Working
) -> None:
    """Its newest is of the log that was lost first."""
    begin(as_worker, "example.com/ledger-3")
    lines = (folder / sinks.FILE).read_text().splitlines(keepends=True)
    of_first = [line for line in lines if head(json.loads(line)["checkpoint"]).origin == "zhiqing.invalid/ledger"]
    (folder / sinks.FILE).write_text("".join(of_first))
    assert ready()
    run(as_worker)
    assert head(published(folder)[-1]).origin == "example.com/ledger-3"


def test_what_a_webhook_alone_took_of_logs_that_are_lost_is_named_by_the_operator(
    lost_twice: tuple[int, int], folder: Path, tmp_path: Path, as_worker: Working
) -> None:
    held, size = lost_twice
    newest = {head(note).origin: note for note in published(folder)}
    kept = (folder / sinks.FILE).read_bytes()
    (folder / sinks.FILE).unlink()
    files = []
    for name in ("example.com/ledger-2", "zhiqing.invalid/ledger"):
        file = tmp_path / name.replace("/", "-")
        file.write_text(newest[name])
        files += ["--checkpoint", str(file)]
    with pytest.raises(CommandError, match="used before"):
        begin(as_worker, "zhiqing.invalid/ledger", *files)
    made = begin(as_worker, "example.com/ledger-3", *files)
    assert made["previous"] == newest["example.com/ledger-2"]
    assert made["earlier"] == [{"origin": "zhiqing.invalid/ledger", "published": size, "held": held}]
    (folder / sinks.FILE).write_bytes(kept)
    run(as_worker)
    assert len(verify(folder)["gaps"]) == 2


def test_of_an_earlier_loss_more_than_was_told_is_a_finding(
    lost_twice: tuple[int, int], folder: Path, owner: psycopg.Connection, as_worker: Working
) -> None:
    held, size = lost_twice
    begin(as_worker, "example.com/ledger-3")
    run(as_worker)
    owner.execute('DELETE FROM log_leaf WHERE origin = 1 AND "index" = %s', [held - 1])
    owner.execute("DELETE FROM log_node WHERE origin = 1 AND (position + 1) << level > %s", [held - 1])
    assert ("rows_gone", f"log_leaf 1/{held - 1} to {size - 1}") in [(fault, row) for fault, row, _ in faults(folder)]


def test_no_new_origin_without_need_or_under_an_old_name(program: Program, folder: Path, as_worker: Working) -> None:
    program.decide("alice")
    run(as_worker)
    for name, wrong in (
        ("example.com/ledger-2", "there is no need"),
        ("zhiqing.invalid/ledger", "used before"),
        ("two words", "a URL of yours"),
    ):
        with pytest.raises(CommandError, match=wrong):
            begin(as_worker, name)


def test_only_the_worker_begins_one(lost: int) -> None:
    with pytest.raises(CommandError, match="ZHIQING_ROLE=worker"):
        call_command("ledger", "new-origin", "example.com/ledger-2")


def test_the_status_tells_how_it_stands(program: Program, folder: Path, as_worker: Working) -> None:
    program.decide("alice")
    run(as_worker)
    program.decide("bob")
    out = io.StringIO()
    call_command("ledger", "status", "--json", stdout=out)
    told = json.loads(out.getvalue())
    note = LogCheckpoint.objects.get().note
    assert (told["checkpoint"], told["leaves"], told["in_order"]) == (note, head(note).size, True)
    assert told["waiting"] > 0
    assert told["published_to"] == ["file"]
    assert [key.split("+")[0] for key in told["keys"]] == ["zhiqing.invalid/ledger"]


def test_a_run_that_stops_says_why_and_raises_nothing(
    lost: int, program: Program, as_worker: Working, caplog: pytest.LogCaptureFixture
) -> None:
    with as_worker():
        tasks.sequence()
    assert "the log does not go on" in caplog.text
