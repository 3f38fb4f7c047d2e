"""Lists whom and what a breach touches, for the notice to the authority and to the people (PIPL 57)."""

import os
from argparse import ArgumentTypeError
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from typing import Any
from uuid import UUID

from django.core.management.base import CommandError, CommandParser

from consent.errors import Invalid
from consent.management.base import OperatorCommand, moment, program_named
from consent.programs.models import MiniProgram
from consent.programs.tenancy import without_tenant
from consent.rights import affected
from consent.rights.affected import Breach, Field, OfKey, OfTable, OfTime
from consent.vault.keyring import FAMILIES

NONE_FOUND = 3
Write = Callable[[str], object]


@dataclass
class _Told:
    """What was found in one mini-program; `pseudonyms` where they go into the answer."""

    program: int
    subjects: int = 0
    tables: Counter[str] = field(default_factory=Counter)
    pseudonyms: list[UUID] = field(default_factory=list)


class Command(OperatorCommand):
    help = (
        "List the subjects and the fields that a breach touches: of a key of the keyring (--key), of a table (--table), or"
        " what was written in a window of time (--from and --to). Prints a line for each subject, the mini-program's id"
        " and the pseudonym with a tab between; how many there are, and the fields, go to stderr. Ends with 0 where"
        " somebody is found, 3 where nobody is. Each run leaves an entry in the audit log of each mini-program."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument(
            "--key",
            type=_key,
            metavar="VERSION",
            help=f"a key's version: 1, or of one family {FAMILIES[0]}:1, {FAMILIES[1]}:1",
        )
        parser.add_argument("--table", metavar="NAME", help="a table of the database, as consent_record")
        parser.add_argument("--from", type=moment, dest="since", metavar="T", help="the window's begin, RFC 3339")
        parser.add_argument("--to", type=moment, dest="until", metavar="T", help="the window's end, not part of it")
        parser.add_argument("--program", type=int, metavar="ID", help="this mini-program only, instead of all")
        parser.add_argument("--limit", type=_number, metavar="N", help="list N subjects at most; all are counted")
        parser.add_argument("--output", metavar="FILE", help="list them in a new file that its owner alone may read")
        super().add_arguments(parser)

    def run(self, options: dict[str, Any]) -> None:
        breach = _breach(options)
        if not isinstance(breach, OfTime):
            affected.fields(breach)  # an unknown table is told before anything is asked or written
        with _listing(options, self.stdout.write) as write:
            left = options["limit"]
            found = []
            for program in _programs(options):
                told = self._look(program, breach, write, left)
                left = None if left is None else max(0, left - told.subjects)
                found.append(told)
        self._conclude(options, breach, found)

    def _look(self, program: MiniProgram, breach: Breach, write: Write | None, left: int | None) -> _Told:
        told = _Told(program.pk)
        with affected.find(program_id=program.pk, breach=breach, by="operator", seconds=0) as subjects:
            for subject in subjects:
                told.tables.update(subject.tables)
                if left is None or told.subjects < left:
                    if write is None:
                        told.pseudonyms.append(subject.pseudonym)
                    else:
                        write(f"{program.pk}\t{subject.pseudonym}\n")
                told.subjects += 1
        return told

    def _conclude(self, options: dict[str, Any], breach: Breach, found: list[_Told]) -> None:
        subjects = sum(told.subjects for told in found)
        fields = affected.fields(breach, frozenset().union(*(told.tables for told in found)))
        result = {
            **affected.described(breach),
            "subjects": subjects,
            "programs": [_program(told, listed=options["output"] is None) for told in found],
            "fields": [asdict(item) for item in fields],
        }
        self.answer(options, result, then=tuple(_lines(found, fields)))
        if not subjects:
            raise CommandError("nobody is affected", returncode=NONE_FOUND)


def _breach(options: dict[str, Any]) -> Breach:
    """Raises CommandError where not exactly one is named."""
    window = (options["since"], options["until"])
    named = [options["key"] is not None, options["table"] is not None, window != (None, None)]
    if sum(named) != 1:
        raise CommandError("say what was breached by one of --key, --table, or --from with --to")
    if options["key"] is not None:
        key: OfKey = options["key"]
        return key
    if options["table"] is not None:
        return OfTable(options["table"])
    since, until = window
    if since is None or until is None or since >= until:
        raise CommandError("give the window by --from and a later --to")
    return OfTime(since, until)


def _programs(options: dict[str, Any]) -> list[MiniProgram]:
    if options["program"] is not None:
        return [program_named(options)]
    with without_tenant():
        return list(MiniProgram.objects.order_by("id"))


@contextmanager
def _listing(options: dict[str, Any], stdout: Write) -> Iterator[Write | None]:
    """Where a line for each subject goes; None: into the JSON. Raises CommandError."""
    if options["output"] is None:
        yield None if options["json"] else stdout
        return
    try:
        descriptor = os.open(options["output"], os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except OSError as error:
        raise CommandError(f"{options['output']}: {error.strerror}; name a new file") from None
    with os.fdopen(descriptor, "w") as file:
        yield file.write


def _program(told: _Told, *, listed: bool) -> dict[str, Any]:
    shown = {"program": told.program, "subjects": told.subjects, "tables": dict(sorted(told.tables.items()))}
    return shown | ({"pseudonyms": [str(pseudonym) for pseudonym in told.pseudonyms]} if listed else {})


def _lines(found: list[_Told], fields: list[Field]) -> Iterator[str]:
    for told in found:
        where = ", ".join(f"{table} {count}" for table, count in sorted(told.tables.items()))
        yield f"mini-program {told.program}: {told.subjects} subjects{f' ({where})' if where else ''}"
    for item in fields:
        yield f"{item.table}.{item.column}: {item.classification}, grade {item.grade}"


def _key(text: str) -> OfKey:
    """argparse type."""
    try:
        return affected.key_named(text)
    except Invalid as problem:
        raise ArgumentTypeError(problem.detail) from None


def _number(text: str) -> int:
    """argparse type."""
    if not text.isascii() or not text.isdigit():
        raise ArgumentTypeError("give a number of subjects")
    return int(text)
