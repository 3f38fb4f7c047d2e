"""pg_dump and pg_restore, as the database's owner. A backup never says that the database is in service."""

import os
import subprocess
import tempfile
from pathlib import Path

import psycopg
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from consent.errors import Conflict, Invalid, Unavailable

STATE = "service_state"
_WHOLE = (" TABLE public django_migrations ", " TABLE DATA public django_migrations ")
"""What the list of a backup has of any version."""
_EMPTY = "SELECT NOT EXISTS (SELECT FROM pg_class WHERE relnamespace = 'public'::regnamespace)"
_EMPTIED = (
    "DROP SCHEMA public CASCADE",
    "CREATE SCHEMA public AUTHORIZATION pg_database_owner",
    "GRANT USAGE ON SCHEMA public TO PUBLIC",
)


def dump(owner_url: str, file: Path, *, tools: Path | None) -> int:
    """Write a backup in pg_dump's custom format, for this user only; answers its bytes. Raises Conflict `file_exists`,
    Unavailable `tool_missing`, `dump_failed`; OSError."""
    if file.exists():
        raise Conflict("file_exists", f"{file} is there already: name another file")
    file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    unfinished = file.with_name(f"{file.name}.unfinished")
    os.close(os.open(unfinished, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600))
    try:
        left_out = f"--exclude-table-data=public.{STATE}"
        _run("pg_dump", owner_url, ["--format=custom", left_out, f"--file={unfinished}"], tools=tools)
        with unfinished.open("rb") as written:
            os.fsync(written.fileno())
        unfinished.rename(file)
    finally:
        unfinished.unlink(missing_ok=True)
    return file.stat().st_size


def restore(owner_url: str, file: Path, *, replace: bool, tools: Path | None) -> None:
    """Restore a backup into the owner's database, which is empty or (`replace`) emptied before. It is not in service, whatever
    the backup says: nobody sees anything of it before that is so. Raises Conflict `not_empty`; Invalid `not_a_backup`,
    `not_whole`; Unavailable `tool_missing`, `restore_failed`."""
    listed = _listed(file, tools)
    _read_through(file, tools)
    with psycopg.connect(owner_url, autocommit=True) as owner:
        found = owner.execute(_EMPTY).fetchone()
        empty = found is not None and found[0]
        if not empty and not replace:
            raise Conflict(
                "not_empty", "the database is not empty: name another, or add --replace to lose what it holds"
            )
        # Whatever can fail before the database is emptied has been tried by then.
        with tempfile.NamedTemporaryFile("w", prefix="zhiqing-restore-") as chosen:
            chosen.write(listed)
            chosen.flush()
            if not empty:
                with owner.transaction():
                    owner.execute("SET LOCAL lock_timeout = '30s'")
                    for statement in _EMPTIED:
                        owner.execute(statement.encode())
            whole = ["--single-transaction", "--exit-on-error", "--no-owner", f"--use-list={chosen.name}", str(file)]
            _run("pg_restore", owner_url, whole, tools=tools)


def _read_through(file: Path, tools: Path | None) -> None:
    """The list stands at the head: a file that ends too early has it all the same. Raises Invalid `not_whole`."""
    command = [_tool("pg_restore", tools), "--file=/dev/null", str(file)]
    if subprocess.run(command, capture_output=True, check=False).returncode:
        raise Invalid("not_whole", f"{file} cannot be read to its end: was it copied whole?")


def _listed(file: Path, tools: Path | None) -> str:
    """What is in the backup, without that the database is in service, which a plain pg_dump has put in."""
    command = [_tool("pg_restore", tools), "--list", str(file)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise Invalid("not_a_backup", f"{file} cannot be read as a backup in pg_dump's custom format")
    if not all(one in done.stdout for one in _WHOLE):
        raise Invalid("not_whole", f"{file} is a dump of the data alone, or of the tables alone: a backup has both")
    lines = done.stdout.splitlines(keepends=True)
    return "".join(line for line in lines if f" TABLE DATA public {STATE} " not in line)


def _run(name: str, owner_url: str, arguments: list[str], *, tools: Path | None) -> None:
    """With the password in the child's environment, where other users do not see it."""
    target = conninfo_to_dict(owner_url)
    password = target.pop("password", None)
    secret = {} if password is None else {"PGPASSWORD": str(password)}
    command = [_tool(name, tools), "--no-password", f"--dbname={make_conninfo('', **target)}", *arguments]
    done = subprocess.run(command, env={**os.environ, **secret}, capture_output=True, text=True, check=False)
    if done.returncode:
        # A line that quotes a row begins with DETAIL or CONTEXT, and comes after the first.
        said = next((line for line in done.stderr.splitlines() if "error:" in line), "no error was told")
        code = {"pg_dump": "dump_failed", "pg_restore": "restore_failed"}[name]
        raise Unavailable(code, f"{name} ended with {done.returncode}: {said}")


def _tool(name: str, tools: Path | None) -> str:
    path = name if tools is None else str(tools / name)
    try:
        subprocess.run([path, "--version"], capture_output=True, check=True)
    except (OSError, subprocess.CalledProcessError):
        raise Unavailable(
            "tool_missing", f"{name} is not found: install PostgreSQL's client programs, or set ZHIQING_POSTGRES_TOOLS"
        ) from None
    return path
