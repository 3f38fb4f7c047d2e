"""What the operator's commands share: `--json`, the mini-program they work on, failures in the domain's own words.

The result goes to stdout, so that `KEY=$(manage.py create_client …)` works; what it means and what to do next goes to
stderr, and is left out with `--json`.
"""

import contextlib
import json
import re
import sys
from argparse import ArgumentTypeError
from collections.abc import Iterator
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import Any

import psycopg
from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.db import OperationalError

from consent.errors import Problem
from consent.journal import service
from consent.journal.service import Standing
from consent.programs.models import ApiClient, MiniProgram
from consent.programs.tenancy import tenant

MAX_FILE_BYTES = 4 * 1024 * 1024
RFC_3339 = re.compile(r"\d{4}-\d\d-\d\d[Tt ]\d\d:\d\d:\d\d(\.\d+)?([Zz]|[+-]\d\d:\d\d)", re.ASCII)
BEFORE_REPLAY = (
    dict.fromkeys(
        ("restore", "replay_journal", "verify_certificate", "verify_receipt", "rotate_signing_key"), Standing.UNMIGRATED
    )
    | dict.fromkeys(("keys list", "ledger status", "verify_ledger"), Standing.RESTORED)
    | dict.fromkeys(
        (
            "hold",
            "publish_notice",
            "purpose",
            "mechanism",
            "keys enable",
            "ledger new-origin",
            "revoke_client",
            "officer",
            "webhook list",
            "webhook off",
            "webhook remove",
        ),
        Standing.WAITING,
    )
)
"""Commands that work on a database that is not in service, and how far it has to be; of UNMIGRATED it is not asked. These change
nothing, or what has to be put right before a replay, or before others come; all others wait."""
_FIRST = {
    Standing.UNMIGRATED: "the database is not of this version yet: run migrate first, as the owner",
    Standing.RESTORED: "the database was restored, and ids would be given out twice: run replay_journal first, or before notices,"
    " holds, webhooks and keys `replay_journal --begin`, as the worker",
    Standing.WAITING: "the database was restored: run replay_journal first, as the worker",
}
"""What is to be done before a command that needs more."""
_FIND = "start the stack (make serve), and set VAR to its folder or DATABASE_URL to its database"


class OperatorCommand(BaseCommand):
    """An operator's command. Subclasses say their arguments and `run`; a Problem becomes exit code 1, and a database that does not
    answer `UNANSWERED`."""

    requires_system_checks: list[str] = []
    UNANSWERED = 1

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--json", action="store_true", help="print one JSON object on stdout, and nothing else")

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            self._refuse_restored(options)
            self.run(options)
        except Problem as problem:
            raise CommandError(told(problem)) from None
        except (OperationalError, psycopg.OperationalError) as error:
            told_of_it = f"the database does not answer as it should: {first_line(error)}\n{_FIND}"
            raise CommandError(told_of_it, returncode=self.UNANSWERED) from None

    def _refuse_restored(self, options: dict[str, Any]) -> None:
        """Raises CommandError."""
        name = type(self).__module__.rpartition(".")[2]
        named = BEFORE_REPLAY.get(f"{name} {options.get('action')}", Standing.IN_SERVICE)
        needed = BEFORE_REPLAY.get(name, named)
        if needed == Standing.UNMIGRATED:
            return
        try:
            found = service.standing()
        except OSError as error:
            told_of_it = f"the journal cannot be read: {error.strerror}"
            raise CommandError(told_of_it, returncode=self.UNANSWERED) from None
        if found < needed:
            raise CommandError(_FIRST[found], returncode=self.UNANSWERED)

    def run(self, options: dict[str, Any]) -> None:
        """The command itself; `options` by the names of the flags."""
        raise NotImplementedError

    def answer(self, options: dict[str, Any], result: dict[str, Any], *lines: str, then: tuple[str, ...] = ()) -> None:
        """With --json the result; without it the lines on stdout, and on stderr what they mean and what to do next."""
        if options["json"]:
            self.stdout.write(json.dumps(result, ensure_ascii=False, default=_plain))
            return
        for line in lines:
            self.stdout.write(line)
        self.stdout.flush()
        for line in then:
            self.stderr.write(line, _as_it_is)


def _as_it_is(text: str) -> str:
    """stderr's own style is that of errors, red on a terminal."""
    return text


def _plain(value: object) -> str:
    if isinstance(value, datetime):
        return value.isoformat()
    raise TypeError(f"{type(value).__name__} has no JSON form")


def first_line(error: Exception) -> str:
    """The lines after it may hold row values (PostgreSQL's DETAIL)."""
    return str(error).partition("\n")[0]


def told(problem: Problem) -> str:
    """The detail with its code, and each fault with the place it is at."""
    faults = [f"  {fault.pointer or '/'}: {fault.detail}" for fault in problem.errors if fault.detail != problem.detail]
    shown = faults if len(faults) > 1 else []
    return "\n".join([f"{problem.detail} [{problem.code}]", *shown])


def program_argument(parser: CommandParser) -> None:
    parser.add_argument(
        "--program", type=int, required=True, metavar="ID", help="the mini-program's id, as create_program printed it"
    )


def program_named(options: dict[str, Any]) -> MiniProgram:
    """The mini-program of --program. Raises CommandError."""
    # Ids are 32 bits: a larger number is no program's, and PostgreSQL would refuse to compare it.
    wanted = options["program"]
    program = MiniProgram.objects.filter(id=wanted).first() if 0 < wanted < 2**31 else None
    if program is None:
        raise CommandError("there is no mini-program of this id: create_program makes one and prints its id")
    return program


def client_argument(parser: CommandParser) -> None:
    parser.add_argument(
        "--client", type=int, required=True, metavar="ID", help="the client's id, as create_client printed it"
    )


def client_named(program: MiniProgram, options: dict[str, Any]) -> int:
    """The id of --client, checked to be the mini-program's. Raises CommandError."""
    wanted = options["client"]
    with tenant(program.pk):
        if not 0 < wanted < 2**63 or not ApiClient.objects.filter(id=wanted, program=program).exists():
            raise CommandError("this mini-program has no client of this id: create_client prints it")
    return int(wanted)


def days(text: str) -> timedelta:
    """argparse type: a number of days, 1 to 3,650."""
    if not re.fullmatch(r"[0-9]{1,4}", text) or not 0 < int(text) <= 3650:
        raise ArgumentTypeError("give a number of days, 1 to 3650")
    return timedelta(days=int(text))


def day(text: str) -> date:
    """argparse type: a date."""
    try:
        return date.fromisoformat(text)
    except ValueError:
        raise ArgumentTypeError("write a date: 2026-10-01") from None


def moment(text: str) -> datetime:
    """argparse type: an RFC 3339 time with an offset."""
    try:
        if RFC_3339.fullmatch(text):
            return datetime.fromisoformat(text)
    except ValueError:
        pass
    raise ArgumentTypeError("write an RFC 3339 time with an offset: 2026-10-01T00:00:00+08:00")


def read_text(name: str) -> str:
    """A file's text, `-` for standard input. Raises CommandError."""
    try:
        return read_bytes(name).decode("utf-8-sig")
    except UnicodeDecodeError:
        raise CommandError(f"{name}: the file is not UTF-8 text") from None


def read_bytes(name: str, *, returncode: int = 1) -> bytes:
    """A file's content, `-` for standard input. Raises CommandError with the exit code."""
    try:
        if name == "-":
            data = sys.stdin.buffer.read(MAX_FILE_BYTES + 1)
        else:
            with Path(name).open("rb") as file:
                data = file.read(MAX_FILE_BYTES + 1)
    except OSError as error:
        raise CommandError(f"{name}: {error.strerror or 'cannot be read'}", returncode=returncode) from None
    if len(data) > MAX_FILE_BYTES:
        raise CommandError(
            f"{name}: the file may have {MAX_FILE_BYTES // 1024 // 1024} MiB at most", returncode=returncode
        )
    return data


def read_lines(name: str, *, most: int, returncode: int = 1) -> Iterator[bytes]:
    """A file's lines, however many there are, `-` for standard input; one that is longer than `most` bytes comes in pieces.
    Raises CommandError with the exit code."""
    try:
        with contextlib.nullcontext(sys.stdin.buffer) if name == "-" else Path(name).open("rb") as file:
            yield from iter(lambda: file.readline(most), b"")
    except OSError as error:
        raise CommandError(f"{name}: {error.strerror or 'cannot be read'}", returncode=returncode) from None
