"""The world the benchmarks run in: a stack of their own, one mini-program, and many subjects who have consented."""

import contextlib
import json
import os
import secrets
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit

import psycopg

from config import embedded
from tests.benchmarks.people import consented
from tests.stack import dropped

ROOT = Path(__file__).resolve().parents[2]
EXAMPLES = ROOT / "docs" / "examples"
DATABASE = "bench"
URLS = ("DATABASE_URL", "DATABASE_WORKER_URL", "DATABASE_OWNER_URL")

_DAYS = "SELECT ensure_event_days(array_agg(current_date - n)) FROM generate_series(-2, %s) n"


@dataclass(frozen=True)
class World:
    """`subjects`: openid n has the n-th id. `cluster`: PostgreSQL's folder of data."""

    program_id: int
    key: str
    notice: str
    subjects: Sequence[int]
    environment: dict[str, str]
    cluster: Path

    def owner(self) -> psycopg.Connection:
        """A connection past row-level security."""
        return psycopg.connect(self.environment["DATABASE_OWNER_URL"], autocommit=True)


def manage(environment: dict[str, str], *arguments: str, role: str = "owner") -> str:
    """One manage.py command; answers what it printed."""
    done = subprocess.run(
        [sys.executable, str(ROOT / "manage.py"), *arguments],
        env={**environment, "ZHIQING_ROLE": role},
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        raise RuntimeError(f"manage.py {arguments[0]} ended with {done.returncode}:\n{done.stdout}{done.stderr}")
    return done.stdout.strip()


@contextlib.contextmanager
def world(var: Path, *, subjects: int, days: int) -> Iterator[World]:
    """A fresh database on servers that write through to the disk. `days`: partitions before today's."""
    with embedded.services(var) as services:
        environment = {**os.environ, **services.environment, "VAR": str(var.resolve())}
        environment |= {"ZHIQING_SECRET_KEY": secrets.token_urlsafe(50), "ZHIQING_TLS": "0"}
        environment.pop("ZHIQING_SECRET_KEY_FILE", None)
        environment |= _fresh_database(environment["DATABASE_OWNER_URL"], environment)
        # A journal or a log that is ahead of its database says that the database was restored.
        for kept in ("ZHIQING_LEDGER_FOLDER", "ZHIQING_JOURNAL_DIR"):
            shutil.rmtree(environment[kept], ignore_errors=True)
        for step in (["create_roles"], ["create_keyring"], ["migrate", "--verbosity=0"]):
            manage(environment, *step)
        yield _populated(environment, services.postgres.folder, subjects, days)


def _fresh_database(owner: str, environment: dict[str, str]) -> dict[str, str]:
    """The URLs of an empty one."""
    with psycopg.connect(owner, autocommit=True) as connection:
        dropped(connection, DATABASE)
        connection.execute(f"CREATE DATABASE {DATABASE}")
    return _urls(environment, DATABASE)


def _urls(environment: Mapping[str, str], database: str) -> dict[str, str]:
    return {name: urlunsplit(urlsplit(environment[name])._replace(path=f"/{database}")) for name in URLS}


@contextlib.contextmanager
def copied(made: World, *, days: int) -> Iterator[World]:
    """The same world in a second database with more partitions before today's. Nobody may be connected to the first."""
    name = f"{DATABASE}_{days}"
    environment = {**made.environment, **_urls(made.environment, name)}
    with psycopg.connect(_urls(made.environment, "postgres")["DATABASE_OWNER_URL"], autocommit=True) as connection:
        dropped(connection, name)
        connection.execute(f"CREATE DATABASE {name} TEMPLATE {DATABASE}")
        try:
            copy = replace(made, environment=environment)
            with copy.owner() as owner:
                owner.execute(_DAYS, [days])
                owner.execute("VACUUM ANALYZE")
            yield copy
        finally:
            dropped(connection, name)


def _populated(environment: dict[str, str], cluster: Path, count: int, days: int) -> World:
    named = ("--name", "Bench", "--controller", "Example Retail Ltd", "--platform", "wechat", "--app-id", "wx0")
    program = int(manage(environment, "create_program", *named))
    since = datetime.now(UTC) - timedelta(days=max(days, 10) + 10)
    effective = ("--effective-at", since.isoformat())
    told = manage(
        environment, "publish_notice", "--program", str(program), *effective, "--json", str(EXAMPLES / "notice.yaml")
    )
    manage(environment, "catalogue", "import", "--program", str(program), str(EXAMPLES / "catalogue.yaml"))
    key = manage(environment, "create_client", "--program", str(program), "--scopes", "consents,events,requests,import")
    with psycopg.connect(environment["DATABASE_OWNER_URL"]) as connection:
        ids = consented(connection, program, count, since, Path(environment["ZHIQING_KEYRING_FILE"]))
        connection.execute(_DAYS, [days])
    with psycopg.connect(environment["DATABASE_OWNER_URL"], autocommit=True) as connection:
        connection.execute("VACUUM ANALYZE")
    return World(program, key.splitlines()[-1], json.loads(told)["sha256"], ids, environment, cluster)
