"""config.embedded on real servers: one stack in a folder, whatever happened to the one before it."""

import contextlib
import importlib.util
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest
import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from config import embedded, postgres, processes
from tests.config.stacks import AS_ROOT, mode, note, notes, owner

LINUX = pytest.mark.skipif(sys.platform != "linux", reason="needs /proc")

# A supervisor to be killed. With "orphans" its servers do not notice its death, as where there is no PR_SET_PDEATHSIG.
SUPERVISOR = """
import sys, time
from pathlib import Path
from config import embedded, processes
if sys.argv[2:] == ["orphans"]:
    tethered = processes.tethered
    processes.tethered = lambda command, *, death, account=None: tethered(command, death=0, account=account)
with embedded.services(Path(sys.argv[1]), durable=False) as stack:
    print(stack.postgres.process.pid, stack.redis.process.pid, flush=True)
    time.sleep(60)
"""


@pytest.fixture(scope="module")
def used(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A folder whose stack has run and stopped, since a first start takes seconds; each test leaves it so again."""
    folder = tmp_path_factory.mktemp("used") / "var"
    with embedded.services(folder, durable=False):
        pass
    yield folder
    embedded.remove(folder)


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[embedded.Services]:
    """One that runs for the tests that only look."""
    folder = tmp_path_factory.mktemp("embedded") / "var"
    with embedded.services(folder, durable=False) as running:
        yield running
    embedded.remove(folder)


def gone(pid: int) -> bool:
    """Whether the process has ended, though its parent may not have asked for its exit code."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except OSError:
        return True


@contextlib.contextmanager
def supervisor(var: Path, *arguments: str) -> Iterator[list[int]]:
    """Runs one in another process, yields the pids of its servers, and kills it."""
    command = [sys.executable, "-c", SUPERVISOR, str(var), *arguments]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout
        try:
            yield [int(pid) for pid in process.stdout.readline().split()]
        finally:
            process.kill()


# --- a running stack


def test_the_owner_may_make_roles_and_is_no_superuser(stack: embedded.Services) -> None:
    with owner(stack) as connection:
        attributes = "rolcanlogin, rolcreaterole, rolcreatedb, rolbypassrls, rolsuper"
        role = connection.execute(f"SELECT {attributes} FROM pg_roles WHERE rolname = current_user").fetchone()
        database = connection.execute(
            "SELECT datname, pg_encoding_to_char(encoding), datlocprovider, datdba::regrole::text FROM pg_database"
            " WHERE datname = current_database()"
        ).fetchone()
        others = connection.execute("SELECT count(*) FROM pg_roles WHERE rolcanlogin AND rolname ~ '^z'").fetchone()
    assert role == (True, True, True, True, False)
    assert database == ("zhiqing", "UTF8", "b", "zhiqing_owner")
    assert others == (1,)


def test_row_values_stay_out_of_the_servers_log(stack: embedded.Services) -> None:
    with owner(stack) as connection:
        connection.execute("CREATE TEMPORARY TABLE person (openid text PRIMARY KEY)")
        for _ in range(2):
            with contextlib.suppress(psycopg.errors.UniqueViolation):
                connection.execute("INSERT INTO person VALUES (%s)", ["an-openid"])
    log = (stack.var / "log" / "postgres.log").read_text()
    assert "duplicate key value" in log
    assert "an-openid" not in log


def test_locks_for_a_year_of_partitions(stack: embedded.Services) -> None:
    with owner(stack) as connection:
        assert connection.execute("SHOW max_locks_per_transaction").fetchone() == ("1024",)
        assert connection.execute("SHOW timezone").fetchone() == ("UTC",)


def test_no_login_without_its_password(stack: embedded.Services) -> None:
    url = stack.environment["DATABASE_OWNER_URL"]
    password = stack.postgres.passwords["zhiqing_owner"]
    for wrong in (url.replace(password, "wrong"), url.replace(f"zhiqing_owner:{password}", "postgres:postgres")):
        with pytest.raises(psycopg.OperationalError, match="password authentication failed"):
            psycopg.connect(wrong)
    with pytest.raises(redis.AuthenticationError):
        redis.Redis(port=stack.redis.port, retry=Retry(NoBackoff(), 0)).ping()


def test_postgres_listens_on_no_address(stack: embedded.Services) -> None:
    with owner(stack) as connection:
        assert connection.execute("SHOW listen_addresses").fetchone() == ("",)
    assert len(os.fsencode(stack.postgres.house.sockets / ".s.PGSQL.5432")) <= postgres.SOCKET_BYTES


def test_redis_answers_and_saves_nothing(stack: embedded.Services) -> None:
    client = redis.Redis.from_url(stack.environment["REDIS_URL"])
    assert client.ping()
    assert client.config_get("save") == {"save": ""}
    assert client.config_get("appendonly") == {"appendonly": "no"}
    assert client.config_get("bind") == {"bind": "127.0.0.1"}


def test_the_stack_file_says_where_everything_is(stack: embedded.Services) -> None:
    lines = (stack.var / "stack.env").read_text().splitlines()
    assert dict(line.split("=", 1) for line in lines) == stack.environment
    assert set(stack.environment) == {
        "DATABASE_URL",
        "DATABASE_WORKER_URL",
        "DATABASE_OWNER_URL",
        "REDIS_URL",
        "ZHIQING_SECRET_KEY_FILE",
        "ZHIQING_KEYRING_FILE",
        "ZHIQING_JOURNAL_DIR",
        "ZHIQING_LEDGER_FOLDER",
    }


def test_secrets_are_for_this_user_only(stack: embedded.Services) -> None:
    assert mode(stack.var) == 0o700
    for file in ("stack.env", "secret_key", "redis/redis.conf"):
        assert mode(stack.var / file) == 0o600
    assert mode(stack.postgres.house.folder / "passwords.json") == 0o600
    assert mode(stack.postgres.house.data) == 0o700


@LINUX
def test_no_password_is_on_a_command_line(stack: embedded.Services) -> None:
    for server in (stack.postgres, stack.redis):
        assert server.process
        arguments = Path(f"/proc/{server.process.pid}/cmdline").read_text()
        assert not any(secret in arguments for secret in (*stack.postgres.passwords.values(), stack.redis.password))


@AS_ROOT
@LINUX
def test_postgres_is_never_root(stack: embedded.Services) -> None:
    assert stack.postgres.process
    uid = Path(f"/proc/{stack.postgres.process.pid}").stat().st_uid
    assert uid != 0
    assert uid == stack.postgres.house.data.stat().st_uid
    assert stack.postgres.house.binaries.stat().st_uid == 0  # it cannot change what it runs


def test_a_second_stack_in_the_folder_is_refused(stack: embedded.Services) -> None:
    with pytest.raises(embedded.AlreadyRunning, match="another stack is running"):
        embedded.services(stack.var).__enter__()
    with pytest.raises(embedded.AlreadyRunning):
        embedded.remove(stack.var)
    assert redis.Redis.from_url(stack.environment["REDIS_URL"]).ping()


def test_stacks_run_side_by_side(stack: embedded.Services, var: Path) -> None:
    with embedded.services(var, durable=False) as other:
        note(other, "other")
        assert other.environment["REDIS_URL"] != stack.environment["REDIS_URL"]
        with owner(stack) as connection:
            assert connection.execute("SELECT to_regclass('note')").fetchone() == (None,)


# --- one stack after another


def test_data_and_passwords_outlive_a_stop(used: Path) -> None:
    with embedded.services(used, durable=False) as first:
        note(first, "stopped")
    with embedded.services(used) as second:
        assert "stopped" in notes(second)
        assert second.postgres.passwords == first.postgres.passwords
        with owner(second) as connection:
            assert connection.execute("SHOW fsync").fetchone() == ("on",)


@LINUX
def test_servers_end_with_a_killed_supervisor(used: Path) -> None:
    with supervisor(used) as pids:
        pass
    deadline = time.monotonic() + 20
    while not all(map(gone, pids)) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert all(map(gone, pids))


@LINUX
def test_servers_left_running_are_stopped_by_the_next_start(used: Path) -> None:
    with supervisor(used, "orphans") as pids:
        pass
    assert not any(map(gone, pids))
    with embedded.services(used, durable=False) as stack:
        assert all(map(gone, pids))
        note(stack, "again")
        assert "again" in notes(stack)


@LINUX
def test_everything_killed_at_once_starts_again(used: Path) -> None:
    with supervisor(used) as pids:
        for pid in pids:
            os.kill(pid, signal.SIGKILL)
    with embedded.services(used, durable=False) as stack:
        note(stack, "again")
        assert "again" in notes(stack)


def test_pid_files_that_name_a_stranger_are_harmless(used: Path) -> None:
    with embedded.services(used, durable=False) as first:
        data = first.postgres.house.data
    for file in (data / "postmaster.pid", used / "redis" / "redis.pid"):
        file.write_text(f"{os.getpid()}\n")
    with embedded.services(used, durable=False) as second:
        note(second, "this process lives on")


def test_a_crash_in_the_middle_of_the_first_start(var: Path) -> None:
    place = postgres.house(embedded.prepare(var))
    (place.folder / "data.new").mkdir()
    (place.folder / "data.new" / "half").write_text("a cluster")
    with embedded.services(var, durable=False) as stack:
        note(stack, "whole")


def test_servers_that_die_are_started_again_at_the_same_address(used: Path) -> None:
    with embedded.services(used, durable=False) as stack:
        note(stack, "killed")
        assert stack.revive() == []
        for server in (stack.postgres, stack.redis):
            assert server.process
            server.process.kill()
            server.process.wait()
        assert stack.revive() == ["postgres", "redis"]
        assert "killed" in notes(stack)
        assert redis.Redis.from_url(stack.environment["REDIS_URL"]).ping()


def test_a_server_that_cannot_start_shows_the_end_of_its_log(used: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(postgres.SETTINGS, "max_connections", "none")
    monkeypatch.setattr(processes.Server, "pauses", (0.0,))
    with pytest.raises(embedded.DidNotStart, match=r'(?s)postgres did not start.*"max_connections"'):
        embedded.services(used, durable=False).__enter__()


# --- which Redis


@pytest.mark.parametrize(
    ("name", "says", "chosen"),
    [
        ("redis-server", "Redis server v=7.2.4 sha=0", True),
        ("valkey-server", "Valkey server v=8.1.0 sha=0", True),
        ("redis-server", "Redis server v=5.0.7 sha=0", False),
        ("redis-server", "no such command", False),
    ],
)
def test_a_new_enough_redis_on_path_is_preferred(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, says: str, chosen: bool
) -> None:
    server = tmp_path / name
    server.write_text(f"#!/bin/sh\necho '{says}'\n")
    server.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    if chosen:
        assert embedded.redis_binary() == server
    else:
        with pytest.raises(embedded.NotInstalled, match="is on PATH"):
            embedded.redis_binary()


def test_the_virtual_environments_own_redis_is_not_taken_for_the_systems(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(Path(sys.prefix, "bin")))
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(embedded.NotInstalled):
        embedded.redis_binary()
