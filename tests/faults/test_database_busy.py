"""Where PostgreSQL is there and cannot do it now, a caller is told to come back: never 500, and never for ever."""

import json
import os
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

import psycopg
import pytest
from django.db import DatabaseError, connection
from psycopg import errors as pg
from psycopg import sql
from psycopg_pool import PoolTimeout

import config.celery  # noqa: F401 -- hints go to the tests' Redis
from config import gunicorn, settings
from consent.api.problems import internal_error
from consent.records import status
from tests.cast import Program
from tests.faults.test_database_away import CALLS
from tests.tracking.test_barrier import Caller, wait_for_waiters
from tracking.ingest import actions

WRITING = [call for call in CALLS if call[1] != "consents/status"]
Ask = Callable[[], Any]


@pytest.fixture(params=CALLS, ids=lambda call: call[1])
def ask(request: pytest.FixtureRequest, program: Program) -> Ask:
    """One of the calls, about a subject who has consented, on a new connection."""
    program.decide("alice")
    program.decide("alice", purpose="personalisation")
    connection.close()
    return lambda: program.call(*request.param)


def told(response: Any) -> str:
    """The code of a 503 that says when to come back."""
    assert (response.status_code, response["Content-Type"]) == (503, "application/problem+json"), response.content
    assert int(response["Retry-After"]) >= 1
    return str(json.loads(response.content)["code"])


@pytest.fixture
def session() -> Iterator[Callable[..., None]]:
    """`session(lock_timeout="1s")`: what the application's new connections are bound by."""
    before = connection.settings_dict["OPTIONS"]["options"]

    def bound(**settings: str) -> None:
        connection.close()
        connection.settings_dict["OPTIONS"]["options"] = " ".join(
            f"-c {name}={value}" for name, value in settings.items()
        )

    yield bound
    connection.close()
    connection.settings_dict["OPTIONS"]["options"] = before


@contextmanager
def altered(owner: psycopg.Connection, what: str, name: str, setting: str, reset: str) -> Iterator[None]:
    """`ALTER ROLE name …` for the block, in effect for new connections."""
    statement = sql.SQL(f"ALTER {what} {{}} {{}}")
    owner.execute(statement.format(sql.Identifier(name), sql.SQL(setting)))
    connection.close()
    try:
        yield
    finally:
        owner.execute(statement.format(sql.Identifier(name), sql.SQL(reset)))
        connection.close()


def test_no_connection_is_left_for_the_login(ask: Ask, owner: psycopg.Connection) -> None:
    login = connection.settings_dict["USER"]
    with altered(owner, "ROLE", login, "CONNECTION LIMIT 0", "CONNECTION LIMIT -1"):
        assert told(ask()) == "database_away"
    assert ask().status_code < 300


def test_no_connection_is_left_on_the_server(ask: Ask, owner: psycopg.Connection) -> None:
    with ExitStack() as held:
        with pytest.raises(psycopg.OperationalError, match="connection slots"):
            while True:
                held.enter_context(psycopg.connect(owner.info.dsn, password=owner.info.password))
        assert told(ask()) == "database_away"
    _until(lambda: ask().status_code < 300)


def _until(ready: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 5
    while not ready():
        assert time.monotonic() < deadline
        time.sleep(0.05)


@pytest.mark.parametrize("call", WRITING, ids=lambda call: call[1])
def test_a_standby_writes_nothing(program: Program, owner: psycopg.Connection, call: tuple[str, str, Any]) -> None:
    program.decide("alice")
    program.decide("alice", purpose="personalisation")
    name = owner.info.dbname
    with altered(
        owner, "DATABASE", name, "SET default_transaction_read_only = on", "RESET default_transaction_read_only"
    ):
        assert told(program.call(*call)) == "database_away"
        assert program.call(*CALLS[2]).status_code == 200
    assert program.call(*call).status_code < 300


@pytest.mark.long
@pytest.mark.parametrize("bound", ["statement_timeout", "lock_timeout"])
def test_what_takes_too_long_ends(
    ask: Ask, owner: psycopg.Connection, session: Callable[..., None], bound: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(actions, "LOCK_TIMEOUT", "30s")
    session(**{bound: "200ms"})
    with owner.transaction():
        # What every call reads first.
        owner.execute("LOCK TABLE api_key IN ACCESS EXCLUSIVE MODE")
        began = time.monotonic()
        assert told(ask()) == "busy"
        assert time.monotonic() - began < 2
    assert ask().status_code < 300


def test_a_session_that_is_ended_in_the_middle(ask: Ask, owner: psycopg.Connection) -> None:
    with owner.transaction():
        owner.execute("LOCK TABLE api_key IN ACCESS EXCLUSIVE MODE")
        waiting = Caller(ask)
        wait_for_waiters(owner, 1)
        with psycopg.connect(os.environ["DATABASE_URL"]) as login:
            login.execute("SELECT pg_terminate_backend(pid) FROM pg_locks WHERE NOT granted")
        assert told(waiting.result()) == "database_away"
    assert ask().status_code < 300


def test_a_process_that_stops_in_a_transaction_keeps_no_lock(
    program: Program, session: Callable[..., None], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where statements are sent one by one; after several sent together PostgreSQL's timer is not to be relied on, and
    gunicorn's timeout is what ends the session with its process."""
    session(idle_in_transaction_session_timeout="100ms")
    call = ("POST", "consents/history", {"subject": {"openid": "alice"}, "purposes": ["analytics"]})
    refuse_unknown = status.refuse_unknown

    def slow(*arguments: Any) -> None:
        time.sleep(0.4)
        refuse_unknown(*arguments)

    monkeypatch.setattr(status, "refuse_unknown", slow)
    assert told(program.call(*call)) == "busy"
    monkeypatch.undo()
    assert program.call(*call).status_code == 200


def test_a_web_process_is_bound_before_gunicorn_ends_it(program: Program) -> None:
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT name, setting::int FROM pg_settings WHERE name = ANY(%s)", [list(settings.SESSIONS["application"])]
        )
        bounds = dict(cursor.fetchall())
    assert bounds == settings.SESSIONS["application"]
    assert 0 < bounds["lock_timeout"] < bounds["statement_timeout"] < gunicorn.timeout * 1000
    assert bounds["idle_in_transaction_session_timeout"] <= gunicorn.timeout * 1000


PASSING = [
    (pg.DiskFull, "overloaded"),
    (pg.OutOfMemory, "overloaded"),
    (pg.TooManyConnections, "overloaded"),
    (pg.ConfigurationLimitExceeded, "overloaded"),
    (pg.AdminShutdown, "database_away"),
    (pg.CrashShutdown, "database_away"),
    (pg.CannotConnectNow, "database_away"),
    (pg.ConnectionFailure, "database_away"),
    (pg.ReadOnlySqlTransaction, "database_away"),
    (PoolTimeout, "database_away"),
    (pg.QueryCanceled, "busy"),
    (pg.LockNotAvailable, "busy"),
    (pg.DeadlockDetected, "busy"),
    (pg.SerializationFailure, "busy"),
    (pg.IdleInTransactionSessionTimeout, "busy"),
    (pg.TransactionTimeout, "busy"),
]
LASTING = [pg.UniqueViolation, pg.InsufficientPrivilege, pg.UndefinedTable, pg.InFailedSqlTransaction, pg.DataError]


@pytest.mark.parametrize("wrapped", [False, True], ids=["psycopg's own", "Django's"])
def test_what_may_pass_and_what_may_not(wrapped: bool) -> None:
    """A COPY raises psycopg's own errors, every other statement Django's."""

    def answer(kind: type[Exception]) -> Any:
        if not wrapped:
            return internal_error(kind("canary"))
        try:
            with connection.wrap_database_errors:
                raise kind("canary")
        except DatabaseError as error:
            return internal_error(error)

    for kind, code in PASSING:
        response = answer(kind)
        assert told(response) == code, kind
        assert b"canary" not in response.content
    for kind in LASTING:
        assert answer(kind).status_code == 500, kind
