"""verify_ledger against everybody who holds the database: each way to tamper, by raw SQL as its owner, is found and told
where, and what is in order is not suspected."""

import io
import json
import os
import threading
from datetime import UTC, timedelta
from pathlib import Path

import psycopg
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from django.conf import settings
from django.core.management import CommandError, call_command
from django.db import connection
from django.utils import timezone

from consent import edge
from consent.ledger import checkpoints, sinks
from consent.ledger.checkpoints import Head
from consent.ledger.leaves import LeafType, leaf_hash, new_salt
from consent.records.entries import canonical
from consent.records.models import ConsentRecord
from tests.cast import Program, now
from tests.consent.rights import erased, file
from tests.ledger.logged import Working, run
from tests.ledger.verifying import faults, later, place_of, verify


def test_what_is_in_order_holds_and_is_counted(log: int, folder: Path, program: Program, as_worker: Working) -> None:
    answer = verify(folder)
    assert answer["holds"] and not answer["findings"]
    (told,) = answer["logs"]
    assert told["checkpoints"] == 2
    assert told["published"] == told["leaves"] > log
    assert (told["not_published"], told["not_in_a_checkpoint"], answer["without_a_place"]) == (0, 0, 0)
    assert (answer["states"], answer["events"]) == (5, 1)
    program.decide("frank")
    assert verify(folder)["without_a_place"] > 0, "the window that no checkpoint covers is told"


def test_what_nobody_outside_vouches_for_is_told(log: int, folder: Path, program: Program, as_worker: Working) -> None:
    settings.ZHIQING_LEDGER_FOLDER = None
    program.decide("frank")
    run(as_worker)
    (told,) = verify(folder)["logs"]
    assert told["not_published"] == told["leaves"] - told["published"] > 0
    assert told["not_in_a_checkpoint"] == 0


# --- Each way to tamper ------------------------------------------------------------------------------------------------


def test_a_flipped_byte_in_a_record(log: int, folder: Path, owner: psycopg.Connection) -> None:
    index, leaf_id = place_of(owner, 3)
    owner.execute("UPDATE consent_record SET locale = 'zh-Hanz' WHERE leaf_id = %s", [leaf_id])
    ((fault, row, _),) = faults(folder)
    assert fault == "record_changed"
    assert f"log_leaf 1/{index} (leaf {leaf_id})" in row


@pytest.mark.parametrize("column", ["salt", "evidence", "turns_14_on", "authorises_until", "received_at"])
def test_a_flipped_byte_in_any_column_that_counts(
    log: int, folder: Path, owner: psycopg.Connection, column: str
) -> None:
    _, leaf_id = place_of(owner, 0)
    value = {
        "salt": "set_byte(salt, 31, get_byte(salt, 31) # 1)",
        "evidence": "'x'",
        "turns_14_on": "'2010-01-01'",
        "authorises_until": "received_at + interval '1 year'",
        "received_at": "received_at + interval '1 microsecond'",
    }[column]
    owner.execute(f"UPDATE consent_record SET {column} = {value} WHERE leaf_id = %s".encode(), [leaf_id])
    assert "record_changed" in [fault for fault, _, _ in faults(folder)]


FLIPPED = "set_byte(hash, 0, get_byte(hash, 0) # 1)"


def test_a_flipped_byte_in_a_leaf(log: int, folder: Path, owner: psycopg.Connection) -> None:
    index, leaf_id = place_of(owner, 3)
    owner.execute(f"UPDATE leaf SET hash = {FLIPPED} WHERE id = %s".encode(), [leaf_id])
    found = faults(folder)
    assert {fault for fault, _, _ in found} == {"leaf_changed", "record_changed"}
    assert all(f"log_leaf 1/{index}" in row for _, row, _ in found)


def test_a_flipped_byte_in_a_row_of_the_log(log: int, folder: Path, owner: psycopg.Connection) -> None:
    index, _ = place_of(owner, 4)
    assert index >= log
    owner.execute(f'UPDATE log_leaf SET hash = {FLIPPED} WHERE "index" = %s'.encode(), [index])
    found = faults(folder)
    kinds = {fault for fault, _, _ in found}
    assert {"checkpoint_contradicted", "leaf_changed"} <= kinds
    assert {since for fault, _, since in found if fault == "checkpoint_contradicted"} == {log}
    assert any(row.startswith(f"log_leaf 1/{index} ") for fault, row, _ in found if fault == "leaf_changed")


def test_a_flipped_byte_in_a_stored_hash(log: int, folder: Path, owner: psycopg.Connection) -> None:
    owner.execute(f"UPDATE log_node SET hash = {FLIPPED} WHERE level = 1 AND position = 0".encode())
    ((fault, row, _),) = faults(folder)
    assert (fault, row) == ("tree_changed", "log_node 1/1/0 over log_leaf 1/0 to 1")


@pytest.mark.parametrize("column", ["note", "root", "at"])
def test_a_flipped_byte_in_a_checkpoint(log: int, folder: Path, owner: psycopg.Connection, column: str) -> None:
    value = {
        "note": "replace(note, E'\\nCheck', 'x') || 'x'",
        "root": "set_byte(root, 0, get_byte(root, 0) # 1)",
        "at": "at + interval '1 minute'",
    }[column]
    owner.execute(f"UPDATE log_checkpoint SET {column} = {value} WHERE size = %s".encode(), [log])
    assert ("checkpoint_not_signed", f"log_checkpoint 1/{log}", None) in faults(folder)


def test_a_deleted_stored_hash(log: int, folder: Path, owner: psycopg.Connection) -> None:
    """It is told by itself, and what else was changed beside it."""
    owner.execute("DELETE FROM log_node WHERE level = 1 AND position = 0")
    assert faults(folder) == [("tree_changed", "log_node 1/1/0 over log_leaf 1/0 to 1", 0)]
    owner.execute(f"UPDATE log_node SET hash = {FLIPPED} WHERE level = 1 AND position = 2".encode())
    assert [row.partition(" ")[2].partition(" ")[0] for _, row, _ in faults(folder)] == ["1/1/0", "1/1/2"]


@pytest.mark.parametrize("node", [(1, 100_000), (20, 3), (0, 1), (-1, 1), (1, -5), (1, 2**63 - 1), (63, 2**62)])
def test_a_stored_hash_of_no_rows(log: int, folder: Path, owner: psycopg.Connection, node: tuple[int, int]) -> None:
    owner.execute("INSERT INTO log_node (origin, level, position, hash) VALUES (1, %s, %s, sha256('x'))", node)
    ((fault, row, _),) = faults(folder)
    assert (fault, row) == ("tree_changed", f"log_node 1/{node[0]}/{node[1]}")


def test_stored_hashes_behind_the_last_row_are_told_together(log: int, folder: Path, owner: psycopg.Connection) -> None:
    owner.execute(
        "INSERT INTO log_node (origin, level, position, hash)"
        " SELECT 1, 1, number, sha256('x') FROM generate_series(50, 99) AS number"
    )
    (found,) = verify(folder, code=1)["findings"]
    assert found["row"] == "log_node 1/1/50"
    assert "49 after it" in found["told"]


def test_a_deleted_row_of_the_log(log: int, folder: Path, owner: psycopg.Connection) -> None:
    index, _ = place_of(owner, 4)
    owner.execute('DELETE FROM log_leaf WHERE "index" = %s', [index])
    found = faults(folder)
    assert ("rows_gone", f"log_leaf 1/{index} to {index}", log) in found
    assert "leaf_without_place" in [fault for fault, _, _ in found]


def test_a_deleted_leaf_with_its_record(log: int, folder: Path, owner: psycopg.Connection) -> None:
    index, leaf_id = place_of(owner, 4)
    owner.execute("DELETE FROM consent_record WHERE leaf_id = %s", [leaf_id])
    owner.execute("DELETE FROM leaf WHERE id = %s", [leaf_id])
    found = faults(folder)
    assert ("leaf_gone", f"log_leaf 1/{index}", None) in found
    assert "state_not_explained" in [fault for fault, _, _ in found]


def test_swapped_rows(log: int, folder: Path, owner: psycopg.Connection) -> None:
    first, second = place_of(owner, 3)[0], place_of(owner, 4)[0]
    swap = 'UPDATE log_leaf SET "index" = CASE "index" WHEN %(a)s THEN %(b)s ELSE %(a)s END + 1000 WHERE "index" IN (%(a)s, %(b)s)'
    owner.execute(swap, {"a": first, "b": second})
    owner.execute('UPDATE log_leaf SET "index" = "index" - 1000 WHERE "index" >= 1000')
    found = faults(folder)
    assert ("checkpoint_contradicted", log) in [(fault, since) for fault, _, since in found]


def test_a_truncated_tail(log: int, folder: Path, owner: psycopg.Connection) -> None:
    """With everything of it: rows, hashes, leaves, records, and the database's own checkpoints."""
    size = verify(folder)["logs"][0]["leaves"]
    cut(owner, log)
    owner.execute("DELETE FROM log_checkpoint WHERE size > %s", [log])
    owner.execute("DELETE FROM event")
    owner.execute(
        "DELETE FROM consent_state s WHERE NOT EXISTS (SELECT FROM consent_record r WHERE r.id = s.record_id)"
    )
    assert verify()["holds"], "without the checkpoints that are kept outside nobody could tell"
    assert faults(folder) == [("rows_gone", f"log_leaf 1/{log} to {size - 1}", log)]


def cut(owner: psycopg.Connection, size: int) -> None:
    """Take away all that came after a checkpoint."""
    taken = 'SELECT leaf_id FROM log_leaf WHERE "index" >= %s'
    for table in ("consent_record", "audit_entry"):
        owner.execute(f"DELETE FROM {table} WHERE leaf_id IN ({taken})".encode(), [size])
    owner.execute(f"DELETE FROM leaf WHERE id IN ({taken})".encode(), [size])
    owner.execute('DELETE FROM log_leaf WHERE "index" >= %s', [size])
    owner.execute('DELETE FROM log_statement WHERE "index" >= %s', [size])
    owner.execute("DELETE FROM log_node WHERE (position + 1) << level > %s", [size])


def test_a_rebuilt_log(log: int, folder: Path, program: Program, owner: psycopg.Connection, as_worker: Working) -> None:
    """Made anew from changed records by the service itself, with its own key: whole, signed, and another."""
    forge(owner)
    rebuild(owner, as_worker)
    assert verify()["holds"], "without the checkpoints that are kept outside nobody could tell"
    found = faults(folder)
    assert ("checkpoint_contradicted", 0) in [(fault, since) for fault, _, since in found]
    assert {fault for fault, _, _ in found} == {"checkpoint_contradicted", "checkpoint_gone"}


def test_published_checkpoints_that_another_key_signed(log: int, folder: Path, owner: psycopg.Connection) -> None:
    """By whoever has the database and the place where they are published, and not the keyring."""
    lines = (folder / sinks.FILE).read_text().splitlines()
    key = Ed25519PrivateKey.generate()
    with (folder / sinks.FILE).open("w") as file:
        for line in lines:
            head = checkpoints.read(json.loads(line)["checkpoint"])
            file.write(json.dumps({"checkpoint": checkpoints.signed(head, key, at=now())}) + "\n")
    owner.execute("DELETE FROM log_checkpoint")
    found = verify(folder, code=1)
    assert [(one["fault"], one["row"]) for one in found["findings"]] == [
        ("checkpoint_not_signed", f"{folder / sinks.FILE}:{line}") for line in (1, 2)
    ]
    assert found["logs"][0]["published"] == 0, "nobody outside vouches for any of it"


def test_a_checkpoint_that_was_published_and_has_no_row(log: int, folder: Path, owner: psycopg.Connection) -> None:
    owner.execute("DELETE FROM log_checkpoint WHERE size = %s", [log])
    assert faults(folder) == [("checkpoint_gone", f"log_checkpoint 1/{log}", None)]


def rebuild(owner: psycopg.Connection, as_worker: Working) -> None:
    for table in ("log_leaf", "log_node", "log_statement", "log_checkpoint", "log_publication"):
        owner.execute(f"DELETE FROM {table}".encode())
    owner.execute("INSERT INTO leaf_waiting SELECT id FROM leaf")
    settings.ZHIQING_LEDGER_FOLDER = None
    run(as_worker)


def forge(owner: psycopg.Connection, *, state: str = "refused", column: str = "locale", value: object = "en") -> int:
    """Change the last record of a state with its leaf, as whoever holds the database can; answers its id."""
    names = [str(field.column) for field in ConsentRecord._meta.concrete_fields]
    attributes = [field.attname for field in ConsentRecord._meta.concrete_fields]
    row = owner.execute(
        f"SELECT {', '.join(names)} FROM consent_record WHERE state = %s ORDER BY id DESC LIMIT 1".encode(), [state]
    ).fetchone()
    assert row is not None
    record, salt = ConsentRecord.from_db("default", attributes, list(row)), new_salt()
    setattr(record, column, value)
    owner.execute(
        f"UPDATE consent_record SET {column} = %s, salt = %s WHERE id = %s".encode(), [value, salt, record.pk]
    )
    hashed = leaf_hash(LeafType.CONSENT_RECORD, salt, canonical(record))
    owner.execute("UPDATE leaf SET hash = %s WHERE id = %s", [hashed, record.leaf_id])
    return int(record.pk)


def test_two_checkpoints_of_one_size(log: int, folder: Path) -> None:
    """Others were shown another log: both are signed, and both were kept."""
    key = edge.vault().keyring.signing.keys[-1].private
    assert key is not None
    other = checkpoints.signed(Head(edge.ledger_origin(), log, bytes(32)), key, at=now())
    with (folder / sinks.FILE).open("a") as file:
        file.write(json.dumps({"checkpoint": other}) + "\n")
    assert "checkpoint_contradicted" in [fault for fault, _, _ in faults(folder)]


def test_a_back_dated_insert(program: Program, folder: Path, owner: psycopg.Connection, as_worker: Working) -> None:
    """Of a record that says it was received ten minutes before a checkpoint that has it not."""
    program.decide("alice")
    run(as_worker)
    program.decide("mallory")
    record = forge(owner, state="given", column="received_at", value=now() - timedelta(minutes=10))
    run(as_worker)
    ((fault, row, since),) = faults(folder)
    assert (fault, row.partition(" of ")[0]) == ("late", f"consent_record {record}")
    assert since == verify(folder, code=1)["logs"][0]["leaves"] - 1


def test_a_back_dated_insert_beside_published_checkpoints_alone(
    program: Program, folder: Path, owner: psycopg.Connection, as_worker: Working
) -> None:
    """The database's own are gone: what was published tells its minute, too."""
    program.decide("alice")
    later(as_worker, timedelta(minutes=10))
    program.decide("mallory")
    run(as_worker)
    owner.execute("DELETE FROM log_checkpoint")
    found = faults(folder)
    assert [fault for fault, _, _ in found] == ["checkpoint_gone", "checkpoint_gone", "late"]
    assert found[-1][2] == verify(folder, code=1)["logs"][0]["leaves"] - 1


def test_a_rebuilt_log_without_checkpoints_of_its_own(
    log: int, folder: Path, program: Program, owner: psycopg.Connection, as_worker: Working
) -> None:
    forge(owner)
    rebuild(owner, as_worker)
    owner.execute("DELETE FROM log_checkpoint")
    kinds = [fault for fault, _, _ in faults(folder)]
    assert kinds.count("checkpoint_contradicted") == 1
    assert kinds.count("checkpoint_gone") == 2


def test_what_is_written_a_moment_before_a_checkpoint_is_not_suspected(
    program: Program, folder: Path, as_worker: Working
) -> None:
    """Its transaction may commit just after."""
    program.decide("alice")
    later(as_worker, timedelta(seconds=50))
    program.decide("bob")
    run(as_worker)
    assert verify(folder)["holds"]


@pytest.mark.parametrize("ahead", [timedelta(minutes=2), timedelta(days=1)])
def test_a_worker_whose_clock_is_ahead_makes_nothing_late(
    log: int,
    folder: Path,
    program: Program,
    owner: psycopg.Connection,
    as_worker: Working,
    monkeypatch: pytest.MonkeyPatch,
    ahead: timedelta,
) -> None:
    """Records and checkpoints, and the days of redactions, are by the database's clock."""
    assert erased(program, owner, as_worker)["state"] == "completed"
    with monkeypatch.context() as patched:
        patched.setattr(timezone, "now", lambda: now() + ahead)
        run(as_worker)
    program.decide("frank")
    run(as_worker)
    assert verify(folder)["holds"]
    said = owner.execute("SELECT content ->> 'day' FROM log_statement WHERE type = 3").fetchall()
    assert said == [(now().astimezone(UTC).date().isoformat(),)]


def test_a_record_without_its_redaction(log: int, folder: Path, owner: psycopg.Connection) -> None:
    index, leaf_id = place_of(owner, 0)
    owner.execute("DELETE FROM consent_record WHERE leaf_id = %s", [leaf_id])
    owner.execute(
        "DELETE FROM consent_state s WHERE NOT EXISTS (SELECT FROM consent_record r WHERE r.id = s.record_id)"
    )
    owner.execute("DELETE FROM event")
    assert faults(folder) == [("record_gone", f"log_leaf 1/{index} (leaf {leaf_id})", None)]


def test_an_audit_entry_is_opened_changed_and_missed_alike(
    log: int, program: Program, folder: Path, owner: psycopg.Connection, as_worker: Working
) -> None:
    file(program, "access")
    run(as_worker)
    assert verify(folder)["holds"]
    owner.execute("UPDATE audit_entry SET actor = 'officer:9' WHERE action = 'request.filed'")
    ((fault, row, _),) = faults(folder)
    assert (fault, row.partition(" ")[0]) == ("record_changed", "audit_entry")
    owner.execute("DELETE FROM audit_entry WHERE action = 'request.filed'")
    assert [fault for fault, _, _ in faults(folder)] == ["record_gone"]


def test_a_record_put_beside_the_log(log: int, folder: Path, owner: psycopg.Connection) -> None:
    """A record that names a leaf that is another's, or none."""
    owner.execute("UPDATE consent_record SET leaf_id = 999999999 WHERE id = (SELECT max(id) FROM consent_record)")
    assert {fault for fault, _, _ in faults(folder)} == {"record_gone", "record_without_leaf"}


def test_a_record_that_has_no_leaf(log: int, folder: Path, owner: psycopg.Connection) -> None:
    """Where the database is made to take one."""
    owner.execute("ALTER TABLE consent_record ALTER leaf_id DROP NOT NULL")
    try:
        row = owner.execute(
            "UPDATE consent_record SET leaf_id = NULL WHERE id = (SELECT max(id) FROM consent_record) RETURNING id"
        ).fetchone()
        assert row is not None
        found = faults(folder)
    finally:
        owner.execute("DELETE FROM consent_record WHERE leaf_id IS NULL")
        owner.execute("ALTER TABLE consent_record ALTER leaf_id SET NOT NULL")
    assert ("record_without_leaf", f"consent_record {row[0]}", None) in found


def test_a_record_that_borrows_a_leaf(log: int, folder: Path, owner: psycopg.Connection) -> None:
    """It says what the leaf commits to, and is somebody else's."""
    names = [column.name for column in owner.execute("SELECT * FROM consent_record LIMIT 0").description or ()]
    other = {"id": "id + 1000000", "subject_id": "(SELECT max(subject_id) FROM subject)"}
    owner.execute("UPDATE consent_record SET version = 77 WHERE subject_id = (SELECT max(subject_id) FROM subject)")
    row = owner.execute(
        f"INSERT INTO consent_record ({', '.join(names)}) SELECT {', '.join(other.get(name, name) for name in names)}"
        " FROM consent_record ORDER BY id LIMIT 1 RETURNING id".encode()
    ).fetchone()
    assert row is not None
    assert ("record_without_leaf", f"consent_record {row[0]}", None) in faults(folder)


def leafless(owner: psycopg.Connection, program: Program, past: str, entry_id: int | None = None) -> int:
    """An audit entry that is written beside the log; answers its number."""
    row = owner.execute(
        "INSERT INTO audit_entry (id, program_id, actor, action, target, details, at) VALUES"
        " (coalesce(%s, nextval(pg_get_serial_sequence('audit_entry', 'id'))), %s, 'officer:1', 'x', '', '{}', now() + %s::interval)"
        " RETURNING id",
        [entry_id, program.id, past],
    ).fetchone()
    assert row is not None
    return int(row[0])


def test_an_audit_entry_without_a_leaf_is_as_old_as_the_log_at_least(
    log: int, folder: Path, program: Program, owner: psycopg.Connection, as_worker: Working
) -> None:
    """It is suspected by its time, or by its number: one of both is what it would have to be."""
    file(program, "access")
    run(as_worker)
    leafless(owner, program, "-1 year", entry_id=-1)
    assert verify(folder)["holds"], "it is from before there was a log"
    late = [leafless(owner, program, "2 minutes", entry_id=-2), leafless(owner, program, "-1 year")]
    assert faults(folder) == [("record_without_leaf", f"audit_entry {entry_id}", None) for entry_id in late]


def test_a_leaf_that_the_sequencer_is_kept_from(
    log: int, folder: Path, program: Program, owner: psycopg.Connection
) -> None:
    program.decide("frank")
    owner.execute("DELETE FROM leaf_waiting")
    assert {fault for fault, _, _ in faults(folder)} == {"leaf_without_place"}


@pytest.mark.parametrize(("by", "late"), [(timedelta(seconds=50), False), (timedelta(minutes=10), True)])
def test_a_leaf_that_waits_although_a_checkpoint_would_have_it(
    log: int, folder: Path, program: Program, owner: psycopg.Connection, as_worker: Working, by: timedelta, late: bool
) -> None:
    """It is kept from the sequencer, and put back into the queue just before somebody verifies."""
    program.decide("frank")
    (hidden,) = owner.execute("DELETE FROM leaf_waiting RETURNING leaf_id").fetchall()
    program.decide("grace")
    later(as_worker, by)
    owner.execute("INSERT INTO leaf_waiting (leaf_id) VALUES (%s)", hidden)
    told = verify(folder, code=int(late))
    assert told["without_a_place"] == 1
    assert [(one["fault"], one["since"]) for one in told["findings"]] == [("late", told["logs"][0]["leaves"])] * late


MALFORMED = {
    "a record's infinite time": ("consent_record", "received_at = 'infinity'", "record_changed"),
    "a record's time before all others": ("consent_record", "received_at = '4713-11-24 00:00+00 BC'", "record_changed"),
    "a record's time after all others": (
        "consent_record",
        "authorises_until = '294276-12-31 23:59:59.999+00'",
        "record_changed",
    ),
    "a record that authorises for ever so long": ("consent_record", "authorises_from = '-infinity'", "record_changed"),
    "a record's day": ("consent_record", "turns_14_on = 'infinity'", "record_changed"),
    "an entry's time": ("audit_entry", "at = 'infinity'", "record_changed"),
    "an entry's number": ("audit_entry", """details = '{"n": 9007199254740993}'""", "record_changed"),
    "an entry's long number": ("audit_entry", "details = to_jsonb(repeat('9', 5000)::numeric)", "record_changed"),
    "an entry's depth": ("audit_entry", "details = (repeat('[', 3000) || repeat(']', 3000))::jsonb", "record_changed"),
    "a row's number": ("log_leaf", '"index" = -1', "row_changed"),
    "a leaf's number": ("leaf", "id = -1", "leaf_gone"),
    "a checkpoint's time": ("log_checkpoint", "at = '-infinity'", "checkpoint_not_signed"),
    "a checkpoint's size": ("log_checkpoint", "size = -1", "row_changed"),
    "a statement's type": ("log_statement", "type = 9", "statement_changed"),
    "a statement's number": ("log_statement", """content = '{"n": 9007199254740993}'""", "statement_changed"),
    "a statement's place": ("log_statement", '"index" = -1', "row_changed"),
}
NUMBERED = {"log_leaf": '"index"', "log_checkpoint": "size", "log_statement": '"index"'}


@pytest.mark.parametrize(("table", "change", "fault"), MALFORMED.values(), ids=MALFORMED.keys())
def test_a_row_that_cannot_be_read_ends_nothing(
    log: int,
    folder: Path,
    program: Program,
    owner: psycopg.Connection,
    as_worker: Working,
    table: str,
    change: str,
    fault: str,
) -> None:
    """It is told, and so is what was found beside it."""
    file(program, "access")
    run(as_worker)
    number = NUMBERED.get(table, "id")
    owner.execute(f"UPDATE {table} SET {change} WHERE {number} = (SELECT max({number}) FROM {table})".encode())
    _, other = place_of(owner, 0)
    owner.execute("UPDATE consent_record SET locale = 'zh-Hanz' WHERE leaf_id = %s", [other])
    found = faults(folder)
    named = {"leaf": "log_leaf"}.get(table, table)
    assert [row for told, row, _ in found if told == fault and row.startswith(f"{named} ")]
    assert [row for told, row, _ in found if told == "record_changed" and row.endswith(f"(leaf {other})")]


@pytest.mark.parametrize("queue", ["leaf_waiting", "leaf_redacted"])
def test_a_number_that_is_no_leafs_stands_in_nobodys_way(
    log: int, folder: Path, owner: psycopg.Connection, queue: str
) -> None:
    owner.execute(f"INSERT INTO {queue} (leaf_id) VALUES (-1)".encode())
    assert verify(folder)["holds"]


def test_a_place_of_a_number_that_is_no_leafs_is_told(
    log: int, folder: Path, program: Program, owner: psycopg.Connection, as_worker: Working
) -> None:
    """Erased days before, and not listed since."""
    owner.execute("UPDATE log_leaf SET leaf_id = -1 WHERE leaf_id = (SELECT min(leaf_id) FROM log_leaf)")
    program.decide("frank")
    later(as_worker, timedelta(days=1))
    owner.execute("INSERT INTO leaf_redacted (leaf_id, day) VALUES (-1, current_date - 9)")
    assert "leaf_gone" in {fault for fault, _, _ in faults(folder)}


def test_a_statement_of_another_form_is_told(log: int, folder: Path, owner: psycopg.Connection) -> None:
    """Behind the last checkpoint whoever has the database adds to the log what they like, leaf and all."""
    content, salt = {"day": "2026-01-01", "redacted": [{"origin": "x", "indexes": [-1]}]}, new_salt()
    size = verify(folder)["logs"][0]["leaves"]
    hashed = leaf_hash(LeafType.REDACTION, salt, content)
    owner.execute('INSERT INTO log_leaf (origin, "index", hash) VALUES (1, %s, %s)', [size, hashed])
    owner.execute("INSERT INTO log_statement VALUES (1, %s, 3, %s, %s)", [size, salt, json.dumps(content)])
    assert ("statement_changed", f"log_statement 1/{size}", None) in faults(folder)


# --- The command itself ------------------------------------------------------------------------------------------------


def test_what_it_cannot_read_is_neither_a_success_nor_a_finding(log: int, folder: Path, tmp_path: Path) -> None:
    verify(tmp_path, code=2)
    (tmp_path / sinks.FILE).write_text("no checkpoint")
    verify(tmp_path, code=2)
    verify(None, f"--jwks={tmp_path / sinks.FILE}", code=2)


def test_a_checkpoint_of_another_log_is_not_passed_over(log: int, folder: Path, owner: psycopg.Connection) -> None:
    """What else is wrong is told beside it."""
    owner.execute("UPDATE log_origin SET name = 'example.com/other'")
    _, leaf_id = place_of(owner, 0)
    owner.execute("UPDATE consent_record SET locale = 'zh-Hanz' WHERE leaf_id = %s", [leaf_id])
    found = faults(folder)
    assert ("rows_gone", "log_origin zhiqing.invalid/ledger", None) in found
    assert "record_changed" in [fault for fault, _, _ in found]


def test_a_checkpoint_by_itself_is_taken_too(log: int, folder: Path, tmp_path: Path) -> None:
    lines = (folder / sinks.FILE).read_text().splitlines()
    note = json.loads(lines[-1])["checkpoint"]
    (tmp_path / sinks.FILE).write_text(note)
    assert verify(tmp_path)["logs"][0]["published"] == int(note.split("\n")[1])


def test_a_file_of_checkpoints_may_be_of_any_size(log: int, folder: Path) -> None:
    """A busy log adds some 40 MiB of them a week."""
    first, last = (folder / sinks.FILE).read_bytes().splitlines(keepends=True)
    with (folder / sinks.FILE).open("wb") as file:
        file.writelines([first, *[b" " * sinks.TAIL_BYTES + b"\n"] * 80, last])
    assert (folder / sinks.FILE).stat().st_size > 4 * 1024 * 1024
    assert verify(folder)["logs"][0]["not_published"] == 0, "its last line was read"


def test_it_takes_the_time_that_it_needs(log: int, folder: Path) -> None:
    """The application's login has 25 s a statement, which a large log takes; here less, and a table that is locked as long."""
    with connection.cursor() as cursor, psycopg.connect(os.environ["DATABASE_OWNER_URL"]) as locking:
        cursor.execute("SET statement_timeout = '300ms'")
        locking.execute("LOCK TABLE log_leaf")
        ending = threading.Timer(1, locking.rollback)
        ending.start()
        try:
            assert verify(folder)["holds"]
        finally:
            ending.join()
            cursor.execute("RESET statement_timeout")


def test_people_read_what_was_found(log: int, folder: Path, owner: psycopg.Connection) -> None:
    out = io.StringIO()
    owner.execute('DELETE FROM log_leaf WHERE "index" = %s', [log])
    with pytest.raises(CommandError, match="findings: the log does not hold"):
        call_command("verify_ledger", f"--published={folder / sinks.FILE}", stdout=out)
    assert (
        f"rows_gone\tlog_leaf 1/{log} to {log}\tthese rows are gone (since the checkpoint of size {log})"
        in out.getvalue()
    )
