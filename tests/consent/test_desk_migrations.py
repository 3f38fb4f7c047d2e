"""The officer's desk's migrations in reverse and forward again, where there are rows in their tables."""

import os
from collections.abc import Iterator
from urllib.parse import urlsplit

import psycopg
import pytest
from django.db import connection
from psycopg import sql

from consent.officers import accounts
from tests import owner as kept
from tests.cast import Program
from tests.consent.desk import access_row, officer, request_row
from tests.consent.processing import incident, mechanism, processor
from tests.stack import URLS, dropped, manage, named

BEFORE = "0058"
COPY = "back_and_forth"
SCHEMA = {
    "columns": "SELECT table_name, column_name, data_type, is_nullable, column_default FROM information_schema.columns"
    " WHERE table_schema = 'public' ORDER BY 1, 2",
    "indexes": "SELECT indexdef FROM pg_indexes WHERE schemaname = 'public' ORDER BY 1",
    "constraints": "SELECT conrelid::regclass::text, conname, convalidated, pg_get_constraintdef(oid) FROM pg_constraint"
    " WHERE connamespace = 'public'::regnamespace AND conrelid <> 0 ORDER BY 1, 2",
    "policies": "SELECT tablename, policyname, permissive, roles::text, cmd, qual, with_check FROM pg_policies ORDER BY 1, 2",
    "triggers": "SELECT pg_get_triggerdef(oid) FROM pg_trigger WHERE NOT tgisinternal ORDER BY 1",
    "functions": "SELECT pg_get_functiondef(oid), proacl::text FROM pg_proc WHERE pronamespace = 'public'::regnamespace"
    " AND prokind = 'f' ORDER BY 1",
    "tables' grants": "SELECT relname, array(SELECT unnest(relacl)::text ORDER BY 1) FROM pg_class"
    " WHERE relnamespace = 'public'::regnamespace AND relkind IN ('r', 'p') ORDER BY 1",
    "columns' grants": "SELECT attrelid::regclass::text, attname, attacl::text FROM pg_attribute WHERE attacl IS NOT NULL"
    " AND attrelid IN (SELECT oid FROM pg_class WHERE relnamespace = 'public'::regnamespace) ORDER BY 1, 2",
    "permissions": "SELECT codename FROM auth_permission ORDER BY 1",
}


@pytest.fixture
def copied(program: Program, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """The owner's address of another database with what there is in this one."""
    url = os.environ["DATABASE_OWNER_URL"]
    rows(program)
    connection.close()
    kept.close()
    with psycopg.connect(named(url, "postgres"), autocommit=True) as server:
        dropped(server, COPY)
        original = sql.Identifier(urlsplit(url).path.lstrip("/"))
        server.execute(sql.SQL("CREATE DATABASE {} TEMPLATE {}").format(sql.Identifier(COPY), original))
    with monkeypatch.context() as patched:
        for name in URLS:
            patched.setenv(name, named(os.environ[name], COPY))
        yield os.environ["DATABASE_OWNER_URL"]
    with psycopg.connect(named(url, "postgres"), autocommit=True) as server:
        dropped(server, COPY)


def rows(program: Program) -> None:
    officer("grace", program, may=("find_subject",)).enter(program).post("person/", kind="openid", value="nobody")
    asked = request_row(program, "alice")
    access_row(program)
    processor(program)
    mechanism(program)
    incident(program, table="event")
    accounts.record(actor="test", action="account.made", account=accounts.NOBODY)
    told = "INSERT INTO request_reminder (request_id, program_id, stage, due_on, reopened) VALUES (%s, %s, 'overdue', now(), %s)"
    for reopened in range(2):
        kept.as_owner().execute(told, [asked.pk, program.id, reopened])


def schema(url: str) -> dict[str, list[tuple[object, ...]]]:
    with psycopg.connect(url) as owner:
        return {name: owner.execute(query.encode()).fetchall() for name, query in SCHEMA.items()}


@pytest.mark.long
def test_leaves_of_the_log_of_accounts_are_listed_where_their_salts_go(copied: str) -> None:
    of_none = "SELECT array_agg(id ORDER BY id) FROM leaf WHERE program_id IS NULL"
    before = schema(copied)
    manage("migrate", "consent", "0087", "--verbosity=0")
    with psycopg.connect(copied) as owner:
        made = owner.execute(of_none).fetchone()
        assert owner.execute("SELECT array_agg(leaf_id ORDER BY leaf_id) FROM leaf_redacted").fetchone() == made
        assert made != (None,)
    manage("migrate", "--verbosity=0")
    assert schema(copied) == before
    with psycopg.connect(copied) as owner:
        assert owner.execute(of_none).fetchone() == made


@pytest.mark.long
def test_they_go_back_and_forth_and_leave_everything_as_it_was(copied: str) -> None:
    counts = "SELECT (SELECT count(*) FROM audit_entry), (SELECT count(*) FROM subject_request), (SELECT count(*) FROM staff_account)"
    with psycopg.connect(copied) as owner:
        held = owner.execute(counts).fetchone()
    before = schema(copied)
    manage("migrate", "consent", BEFORE, "--verbosity=0")
    assert "minor_access" not in {row[0] for row in schema(copied)["columns"]}
    manage("migrate", "--verbosity=0")
    after = schema(copied)
    for name, found in before.items():
        assert after[name] == found, name
    with psycopg.connect(copied) as owner:
        assert owner.execute(counts).fetchone() == held
        assert owner.execute("SELECT count(*) FROM request_reminder").fetchone() == (1,)
