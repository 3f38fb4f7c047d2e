"""The database's roles and logins, as `create_roles` makes them."""

import os

import psycopg
import pytest
from django.conf import settings
from django.core.management import CommandError, call_command

from consent.management.commands import create_roles
from tests.stack import manage

BOUNDS = (
    "SELECT rolname, setconfig FROM pg_db_role_setting s JOIN pg_roles r ON r.oid = s.setrole WHERE setdatabase = 0"
)


def test_what_it_prints_may_be_run_again_and_holds_no_password(owner: psycopg.Connection) -> None:
    printed = manage("create_roles", "--sql")
    assert "PASSWORD" not in printed
    before = owner.execute("SELECT count(*) FROM pg_roles").fetchone()
    for _ in range(2):
        owner.execute(printed.encode())
    assert owner.execute("SELECT count(*) FROM pg_roles").fetchone() == before


def test_the_applications_login_pauses_no_longer_than_a_notice_waits_for(owner: psycopg.Connection) -> None:
    """config.settings.NOTICE_LEAD rests on it also where a pooler drops what a session asks."""
    manage("create_roles")
    bounds: dict[str, list[str]] = dict(owner.execute(BOUNDS).fetchall())
    application = psycopg.conninfo.conninfo_to_dict(os.environ["DATABASE_URL"])["user"]
    assert bounds[str(application)] == ["idle_in_transaction_session_timeout=30000"]


def test_an_older_server_is_told_so(database: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(create_roles, "OLDEST", 99)
    monkeypatch.setattr(settings, "ROLE", "owner")
    with pytest.raises(CommandError, match="PostgreSQL 99 or later is needed, and this one is 1"):
        call_command("create_roles")
