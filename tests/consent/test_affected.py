"""Whom and what a breach touches: by key, table and time, of each mini-program, with an audit entry for each look."""

import io
import json
import stat
from datetime import timedelta
from pathlib import Path
from typing import Any

import psycopg
import pytest
from django.apps import apps
from django.core.management import CommandError, call_command
from django.db.models import BinaryField

from consent.rights.affected import traced
from consent.rights.classification import classified, classified_models
from tests.cast import Program, event, now
from tests.consent.rights import Working, ask, lively
from tests.stack import manage

OPEN = {"erasure_handle", "salt", "secret_hash", "hash", "key_hash", "fingerprint", "idempotency", "key", "subjects",
        "events", "ids", "numbers", "elements", "contexts", "link_hash", "root"}  # fmt: skip
"""Bytes that no key of the keyring guards: random, hashes, or what rollups hold of subjects' events."""


def affected(*arguments: Any) -> tuple[list[tuple[int, str]], str]:
    """The (mini-program, pseudonym) lines, and what stderr says."""
    out, err = io.StringIO(), io.StringIO()
    call_command("affected", *map(str, arguments), stdout=out, stderr=err)
    lines = [line.split("\t") for line in out.getvalue().splitlines()]
    return [(int(program), pseudonym) for program, pseudonym in lines], err.getvalue()


def as_json(*arguments: Any) -> dict[str, Any]:
    out = io.StringIO()
    call_command("affected", *map(str, arguments), "--json", stdout=out, stderr=io.StringIO())
    answer: dict[str, Any] = json.loads(out.getvalue())
    return answer


def nobody(*arguments: Any) -> None:
    with pytest.raises(CommandError, match="nobody is affected") as ended:
        affected(*arguments)
    assert ended.value.returncode == 3


def columns(told: dict[str, Any]) -> set[str]:
    return {f"{field['table']}.{field['column']}" for field in told["fields"]}


def test_every_table_of_a_subject_is_traced() -> None:
    models = [apps.get_model(label) for label in classified_models()]
    held = {m._meta.db_table for m in models if any(f.column == "subject_id" for f in m._meta.local_fields)}
    assert held <= set(traced())


def test_every_sealed_or_keyed_field_says_its_key() -> None:
    models = [apps.get_model(label) for label in classified_models()]
    unsaid = [
        f"{model._meta.db_table}.{field.name}"
        for model in models
        for field in model._meta.local_fields
        if isinstance(field, BinaryField) and field.name not in OPEN and classified(model)[field.name].key is None
    ]
    assert unsaid == []


def test_a_key_touches_whom_it_was_used_for(program: Program, other: Program, owner: psycopg.Connection) -> None:
    alice = program.decide("alice")["subject_id"]
    bob = other.decide("bob")["subject_id"]
    owner.execute("UPDATE data_key SET key_version = 2 WHERE program_id = %s", [other.id])
    assert affected("--key", "key_encryption:1")[0] == [(program.id, alice)]
    assert affected("--key", "key_encryption:2")[0] == [(other.id, bob)]
    assert affected("--key", "1")[0] == [(program.id, alice), (other.id, bob)]
    assert affected("--key", "index:1", "--program", other.id)[0] == [(other.id, bob)]
    nobody("--key", "index:2")


def test_a_keys_fields_are_those_it_guards(program: Program) -> None:
    program.decide("alice")
    assert columns(as_json("--key", "index:1")) == {"subject_lookup.index", "subject_identifier.lookup"}
    assert columns(as_json("--key", "key_encryption:1")) >= {
        "data_key.wrapped",
        "consent_record.evidence",
        "subject_identifier.sealed",
        "profile_attribute.sealed",
        "request_subject.sealed",
        "package_part.sealed",
    }


def test_a_phones_hash_is_of_an_index_key_in_use(program: Program, owner: psycopg.Connection) -> None:
    """The hash says no version: rather tell one too many."""
    alice = program.decide("alice")["subject_id"]
    body = {"subject": {"openid": "alice"}, "add": {"phone": "13812345678"}}
    assert program.post("identities", body).status_code == 200
    told = as_json("--key", "index:1")["programs"][0]
    assert told == {
        "program": program.id,
        "subjects": 1,
        "tables": {"subject_identifier": 1, "subject_lookup": 1},
        "pseudonyms": [alice],
    }


def test_a_table_touches_whose_rows_it_has(program: Program, other: Program, as_worker: Working) -> None:
    alice, bob, carol = lively(program), program.decide("bob")["subject_id"], other.decide("carol")["subject_id"]
    assert affected("--table", "event")[0] == [(program.id, alice)]
    assert affected("--table", "profile_attribute")[0] == [(program.id, alice)]
    assert affected("--table", "consent_record")[0] == [(program.id, alice), (program.id, bob), (other.id, carol)]
    nobody("--table", "subject_request")
    assert ask(program, "access", "bob").status_code == 202
    for table in ("subject_request", "request_subject", "holder_run"):
        assert affected("--table", table)[0] == [(program.id, bob)], table
    told = as_json("--table", "profile_attribute")
    assert {"table": "profile_attribute", "column": "sealed", "classification": "profile", "grade": 4} in told["fields"]


def test_a_table_that_names_nobody_touches_nobody(program: Program) -> None:
    program.decide("alice")
    nobody("--table", "ingest_count")


def test_an_unknown_table_is_refused_and_leaves_no_entry(program: Program, owner: psycopg.Connection) -> None:
    with pytest.raises(CommandError, match=r"the tables are .*consent_record.* \[unknown_table\]") as ended:
        affected("--table", "consent_records; DROP TABLE event")
    assert ended.value.returncode == 1
    assert owner.execute("SELECT count(*) FROM audit_entry WHERE action = 'breach.listed'").fetchone() == (0,)


def window(since: timedelta, until: timedelta = timedelta(0)) -> list[str]:
    """From `since` ago until `until` ago."""
    return ["--from", (now() - since).isoformat(), "--to", (now() - until).isoformat()]


def shift(owner: psycopg.Connection, subject: str, back: timedelta) -> None:
    """Let everything of a subject but its events have been written earlier."""
    for table, column in (
        ("subject", "created_at"),
        ("data_key", "created_at"),
        ("subject_identifier", "created_at"),
        ("consent_record", "received_at"),
        ("consent_state", "asked_at"),
    ):
        owner.execute(
            f"UPDATE {table} SET {column} = {column} - %s"
            " WHERE subject_id = (SELECT subject_id FROM subject WHERE pseudonym = %s)",
            [back, subject],
        )


def test_a_window_touches_what_was_written_in_it(program: Program, owner: psycopg.Connection) -> None:
    alice, bob = program.decide("alice")["subject_id"], program.decide("bob")["subject_id"]
    shift(owner, alice, timedelta(days=40))
    assert affected(*window(timedelta(minutes=5)))[0] == [(program.id, bob)]
    assert affected(*window(timedelta(days=41), timedelta(days=39)))[0] == [(program.id, alice)]
    nobody(*window(timedelta(days=20), timedelta(days=10)))
    told = as_json(*window(timedelta(minutes=5)))
    assert told["programs"][0]["tables"]["consent_record"] == 1
    assert "consent_record.state" in columns(told)
    assert not {column for column in columns(told) if column.startswith(("event.", "profile_attribute."))}


@pytest.mark.parametrize(
    ("happened", "came", "seen"),
    [
        (timedelta(hours=1), timedelta(hours=1), {"now"}),
        (timedelta(days=3), timedelta(hours=1), {"now"}),  # not late, but of a day before the window's
        (timedelta(days=6, hours=12), timedelta(hours=1), {"now"}),  # late: found through the counters
        (timedelta(days=3), timedelta(days=3), set()),
        (timedelta(days=10), timedelta(days=5), {"then"}),  # of a whole day within the window, whenever it came
    ],
)
def test_a_window_touches_events_that_came_in_it(
    program: Program, owner: psycopg.Connection, happened: timedelta, came: timedelta, seen: set[str]
) -> None:
    alice = program.decide("alice", occurred_at=(now() - timedelta(days=30)).isoformat())["subject_id"]
    shift(owner, alice, timedelta(days=40))
    mode = {} if happened < timedelta(days=7) else {"historical": True}
    program.send(event("alice", "e1", now() - happened), **mode)
    assert owner.execute("SELECT count(*) FROM event").fetchone() == (1,)
    owner.execute("UPDATE event SET received_at = %s", [now() - came])
    windows = {
        "now": window(timedelta(hours=2)),
        "then": window(timedelta(days=13), timedelta(days=8, hours=23)),
    }
    assert {name for name, asked in windows.items() if told_events(*asked)} == seen


def told_events(*arguments: str) -> int:
    try:
        programs = as_json(*arguments)["programs"]
    except CommandError:
        return 0
    return sum(told["tables"].get("event", 0) for told in programs)


def test_each_run_leaves_an_audit_entry_in_each_mini_program(
    program: Program, other: Program, owner: psycopg.Connection
) -> None:
    program.decide("alice")
    affected("--table", "consent_record")
    nobody("--table", "event", "--program", other.id)
    rows = owner.execute(
        "SELECT program_id, actor, target, details FROM audit_entry WHERE action = 'breach.listed' ORDER BY id"
    ).fetchall()
    assert rows == [
        (program.id, "operator", f"program:{program.id}", {"table": "consent_record"}),
        (other.id, "operator", f"program:{other.id}", {"table": "consent_record"}),
        (other.id, "operator", f"program:{other.id}", {"table": "event"}),
    ]


def test_the_list_goes_to_a_new_file_of_its_owners(program: Program, tmp_path: Path) -> None:
    alice = program.decide("alice")["subject_id"]
    file = tmp_path / "affected.tsv"
    lines, err = affected("--table", "subject", "--output", file)
    assert lines == []
    assert f"mini-program {program.id}: 1 subjects (subject 1)" in err
    assert "subject.pseudonym: pseudonym, grade 3" in err
    assert file.read_text() == f"{program.id}\t{alice}\n"
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    with pytest.raises(CommandError, match="name a new file"):
        affected("--table", "subject", "--output", file)


def test_a_limit_bounds_the_list_and_not_the_count(program: Program, other: Program) -> None:
    first = program.decide("alice")["subject_id"]
    program.decide("bob")
    other.decide("carol")
    told = as_json("--table", "subject", "--limit", 1)
    assert told["subjects"] == 3
    assert [item["pseudonyms"] for item in told["programs"]] == [[first], []]
    assert affected("--table", "subject", "--limit", 1)[0] == [(program.id, first)]


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        ([], "by one of --key"),
        (["--key", "1", "--table", "event"], "by one of --key"),
        (["--from", "2026-01-01T00:00:00Z"], "a later --to"),
        (["--from", "2026-01-02T00:00:00Z", "--to", "2026-01-01T00:00:00Z"], "a later --to"),
        (["--key", "signing:1"], "write a version"),
        (["--key", "x"], "write a version"),
        (["--key", "1", "--limit", "-1"], "a number of subjects"),
    ],
)
def test_what_was_breached_is_named_once(database: None, arguments: list[str], told: str) -> None:
    with pytest.raises(CommandError, match=told):
        affected(*arguments)


def test_any_login_sees_the_same(program: Program, other: Program) -> None:
    """The owner's passes row-level security: what it asks names the mini-program."""
    alice, _ = program.decide("alice")["subject_id"], other.decide("bob")
    for role in ("owner", "application", "worker"):
        out = manage("affected", "--table", "consent_record", "--program", str(program.id), role=role)
        assert out == f"{program.id}\t{alice}\n", role
