"""A mini-program that was copied has what the service's own commands give one."""

import hashlib
import json
from typing import Any

import psycopg
import rfc8785

from tests.cast import by_commands, example_notice, make_program, original
from tests.copies import TABLES, WRITTEN

OF_A_CLIENT = {"api_client", "api_key"}
"""Made by a command for every mini-program."""
OF_THE_LOG = ("leaf_id", "salt")
"""A leaf commits to the one entry that was written: a copy has none, as entries from before there was a log."""


def held(owner: psycopg.Connection, tables: list[str], program_id: int) -> Any:
    """Table -> rows of the mini-program. Ids are places in that order; what is its own or of the moment is named so."""
    found: dict[str, list[dict[str, Any]]] = {}
    for table in tables:
        query = (
            f"SELECT to_jsonb({table}) AS row FROM {table} WHERE to_jsonb({table}) -> 'program_id' = %s::text::jsonb"
        )
        found[table] = [row for (row,) in owner.execute(f"{query} ORDER BY to_jsonb({table}) -> 'id'", [program_id])]
    found = {table: rows for table, rows in found.items() if rows and table not in OF_A_CLIENT | {"leaf"}}
    places = {(TABLES.get(table), row["id"]): place for table, rows in found.items() for place, row in enumerate(rows)}
    for rows in found.values():
        for row in rows:
            row |= {name: places[name, row[name]] for name in TABLES.values() if name in row}
            row |= {name: name for name in ("id", "program_id", *WRITTEN, *OF_THE_LOG) if name in row}
    [notice] = found["notice"]
    text = json.dumps(found)
    for own in (notice["sha256"], notice["body"]["program"], notice["body"]["effective_at"], notice["effective_at"]):
        text = text.replace(own, "own")
    return json.loads(text)


def test_a_copy_has_what_the_commands_make(database: None, owner: psycopg.Connection, tables: list[str]) -> None:
    copied, made = make_program(), by_commands("wx-by-commands", example_notice())
    rows = held(owner, tables, copied.id)
    assert rows == held(owner, tables, made.program_id)
    assert rows.keys() == TABLES.keys()


def test_copied_notices_are_named_by_their_hashes_and_there_are_no_others(
    database: None, owner: psycopg.Connection
) -> None:
    original.cache_clear()
    programs = make_program(), make_program()
    bodies: dict[str, dict[str, str]] = dict(owner.execute("SELECT sha256, body FROM notice").fetchall())
    assert bodies.keys() == {program.notice for program in programs}
    assert all(hashlib.sha256(rfc8785.dumps(body)).hexdigest() == sha256 for sha256, body in bodies.items())
    assert len({body["program"] for body in bodies.values()}) == 2
