"""The schema shards by subject as it stands: rules for keys, foreign keys and triggers, asked of pg_catalog."""

from typing import LiteralString

import psycopg
import pytest
from django.apps import apps

# Distributed by its own hash, because it is asked before the subject is known.
LOOKUP = "subject_lookup"
# The catalogue's: a path is the mini-program's, and found by it; it names a subject only until a second one was there.
CATALOGUE = {"page"}

_OWNED = """
    SELECT c.relname FROM pg_class c
    WHERE c.relnamespace = 'public'::regnamespace AND c.relkind IN ('r', 'p') AND NOT c.relispartition
      AND 2 = (SELECT count(*) FROM pg_attribute a WHERE a.attrelid = c.oid AND NOT a.attisdropped
               AND a.attname IN ('subject_id', 'program_id'))
"""
_UNIQUE = """
    SELECT c.relname, i.indexrelid::regclass::text, i.indisprimary,
           ARRAY(SELECT a.attname::text FROM unnest(i.indkey) WITH ORDINALITY AS k(number, place)
                 JOIN pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = k.number
                 WHERE k.place <= i.indnkeyatts)
    FROM pg_index i JOIN pg_class c ON c.oid = i.indrelid
    WHERE c.relnamespace = 'public'::regnamespace AND i.indisunique
"""
_FOREIGN = """
    SELECT k.conname, source.relname, target.relname,
           ARRAY(SELECT a.attname::text FROM unnest(k.conkey) WITH ORDINALITY AS n(number, place)
                 JOIN pg_attribute a ON a.attrelid = k.conrelid AND a.attnum = n.number ORDER BY n.place),
           ARRAY(SELECT a.attname::text FROM unnest(k.confkey) WITH ORDINALITY AS n(number, place)
                 JOIN pg_attribute a ON a.attrelid = k.confrelid AND a.attnum = n.number ORDER BY n.place)
    FROM pg_constraint k JOIN pg_class source ON source.oid = k.conrelid JOIN pg_class target ON target.oid = k.confrelid
    WHERE k.contype = 'f' AND source.relnamespace = 'public'::regnamespace
"""
_TRIGGERS = """
    SELECT c.relname, t.tgname FROM pg_trigger t JOIN pg_class c ON c.oid = t.tgrelid
    WHERE NOT t.tgisinternal AND c.relnamespace = 'public'::regnamespace
"""
_MOVED = """
    SELECT c.relname, a.attname, format_type(a.atttypid, a.atttypmod), a.attnotnull
    FROM pg_attribute a JOIN pg_class c ON c.oid = a.attrelid
    WHERE c.relnamespace = 'public'::regnamespace AND a.attname = 'subject_id' AND c.relkind IN ('r', 'p')
"""


@pytest.fixture
def owned(owner: psycopg.Connection) -> set[str]:
    """Tables that hold rows of subjects, sharded by them."""
    return {str(row[0]) for row in owner.execute(_OWNED)} - {LOOKUP} - CATALOGUE


def rows(owner: psycopg.Connection, query: LiteralString) -> list[tuple[object, ...]]:
    return owner.execute(query).fetchall()


def test_the_owned_tables_are_those_of_the_design(owned: set[str]) -> None:
    """A rule that is asked of no table proves nothing."""
    assert owned >= {
        "subject", "data_key", "subject_identifier", "consent_record", "consent_state", "withdrawal_intent",
        "profile_attribute", "request_subject", "package", "package_part", "event", "subject_day",
    }  # fmt: skip


def test_what_names_a_subject_is_owned(owner: psycopg.Connection, owned: set[str]) -> None:
    """A table with subject_id and no program_id would be neither sharded nor a tenant's."""
    partitions = {str(row[0]) for row in owner.execute("SELECT relname FROM pg_class WHERE relispartition")}
    named = {str(row[0]) for row in rows(owner, _MOVED)} - partitions
    assert named - CATALOGUE == owned | {LOOKUP}


def test_subject_id_is_a_bigint_that_is_never_null(owner: psycopg.Connection) -> None:
    wrong = [row for row in rows(owner, _MOVED) if row[2:] != ("bigint", True) and row[0] not in CATALOGUE]
    assert not wrong


def test_every_owned_table_is_keyed_by_subject(owner: psycopg.Connection, owned: set[str]) -> None:
    """In the primary key, and in every other unique constraint or index."""
    unique = [row for row in rows(owner, _UNIQUE) if row[0] in owned]
    assert {row[0] for row in unique if row[2]} == owned, "an owned table has no primary key"
    wrong = [f"{table}: {index} {columns}" for table, index, _, columns in unique if "subject_id" not in list(columns)]  # type: ignore[call-overload]
    assert not wrong, "unique without subject_id, which Citus refuses:\n" + "\n".join(wrong)


def test_foreign_keys_stay_with_the_subject_or_go_to_the_catalogue(owner: psycopg.Connection, owned: set[str]) -> None:
    wrong = []
    for name, source, target, columns, referenced in rows(owner, _FOREIGN):
        if target in owned | {LOOKUP} and (
            source not in owned or columns != ["subject_id"] or referenced != ["subject_id"]
        ):
            wrong.append(f"{name}: {source} -> {target}")
        if source in {"event", "subject_day", LOOKUP}:
            wrong.append(f"{name}: {source} has no foreign keys")
    assert not wrong, "\n".join(wrong)


def test_foreign_keys_within_the_owned_go_to_the_subject_alone(owner: psycopg.Connection, owned: set[str]) -> None:
    targets = {target for _, source, target, *_ in rows(owner, _FOREIGN) if source in owned and target in owned}
    assert targets == {"subject"}


def test_owned_tables_have_no_triggers(owner: psycopg.Connection, owned: set[str]) -> None:
    """Append-only is kept by grants; the triggers of foreign keys are PostgreSQL's own. The one there is: ADR 30."""
    found = {tuple(row) for row in rows(owner, _TRIGGERS) if row[0] in owned | {LOOKUP}}
    assert found == {("minor_access", "minor_access_step")}


def test_owned_models_have_no_automatic_many_to_many(owned: set[str]) -> None:
    wrong = [
        f"{model._meta.label}.{field.name}"
        for model in apps.get_models(include_auto_created=True)
        for field in model._meta.many_to_many
        if {model._meta.db_table, field.related_model._meta.db_table} & owned
    ]
    assert not wrong


def test_the_lookup_is_the_one_table_sharded_otherwise(owner: psycopg.Connection) -> None:
    keys = [(row[2], row[3]) for row in rows(owner, _UNIQUE) if row[0] == LOOKUP]
    assert keys == [(True, ["index"])]
