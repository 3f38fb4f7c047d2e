"""Copies of a new mini-program's notice and catalogue: to publish and import them again for every test takes long."""

import json
from datetime import datetime
from typing import Any

from django.db import connection

from tests.owner import as_owner

# Where a new mini-program has rows, and by what others of them name one.
TABLES = {
    "purpose": "purpose_id",
    "notice": "notice_id",
    "notice_purpose": "",
    "impact_assessment": "",
    "event_type": "event_type_id",
    "event_type_version": "",
    "audit_entry": "",
}
WRITTEN = ("created_at", "published_at", "updated_at", "at")
_ROWS = " UNION ALL ".join(f"(SELECT '{table}', to_jsonb({table})::text FROM {table} ORDER BY id)" for table in TABLES)
_IDS = """
    SELECT nextval(pg_get_serial_sequence(name, 'id'))
    FROM unnest(%s::text[]) WITH ORDINALITY AS rows (name, place) ORDER BY place
"""
_INSERTS = ", ".join(
    f"new_{table} AS (INSERT INTO {table} SELECT * FROM jsonb_populate_recordset(NULL::{table}, %({table})s))"
    for table in TABLES
)
Rows = list[tuple[str, dict[str, Any]]]
"""Each with its table."""


def rows() -> Rows:
    """What the tenant has, with which nothing has been done yet."""
    with connection.cursor() as cursor:
        cursor.execute(_ROWS)
        return [(table, json.loads(row)) for table, row in cursor.fetchall()]


def copy(original: Rows, *, program_id: int, now: datetime, instead: dict[str, str]) -> None:
    """The same for another mini-program, with ids of its own; `instead`: words of the rows, and those in their place."""
    owner = as_owner()
    ids = [number for (number,) in owner.execute(_IDS, [[table for table, _ in original]])]
    own = {(TABLES[table], row["id"]): number for (table, row), number in zip(original, ids, strict=True)}
    made: dict[str, list[dict[str, Any]]] = {table: [] for table in TABLES}
    for (table, row), number in zip(original, ids, strict=True):
        named = {name: own[name, row[name]] for name in TABLES.values() if name in row}
        times = {name: now.isoformat() for name in WRITTEN if name in row}
        # The leaf of an entry commits to the original: a copy is as one from before there were leaves.
        leafless = {name: None for name in ("leaf_id", "salt") if name in row}
        made[table].append(row | named | times | leafless | {"id": number, "program_id": program_id})
    texts = {table: json.dumps(of_table) for table, of_table in made.items()}
    for old, new in instead.items():
        texts = {table: text.replace(old, new) for table, text in texts.items()}
    owner.execute(f"WITH {_INSERTS} SELECT", texts)
