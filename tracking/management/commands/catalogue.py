"""Imports, exports and compares the event catalogue."""

import json
import os
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

from django.core.management.base import CommandError, CommandParser

from consent import edge
from consent.management.base import OperatorCommand, program_argument, program_named, read_text
from consent.programs.models import ApiClient, MiniProgram
from consent.programs.tenancy import tenant
from tracking.catalogue import Imported, compare_catalogue, export_catalogue, import_catalogue, parse
from tracking.catalogue_text import dump
from tracking.differences import Change

GOES_WITH = {"check": ("diff",), "dry_run": ("import",), "retire_missing": ("import", "diff")}
DIFFERENT, TROUBLE = 1, 2


class Command(OperatorCommand):
    help = (
        "Import a mini-program's event catalogue from a YAML file, export it to one, or say what an import would do."
        " An import creates and updates, all or nothing; what the file leaves out stays as it is and is named as absent."
        " Exit codes: 0 done; 1 the import or export failed, or, for diff --check, the file and the service differ;"
        " 2 diff could not compare, or an import of the file would be refused; 2 also for a wrong flag."
        " docs/formats.md describes the file, docs/examples/catalogue.yaml is the one to start from."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("action", choices=("import", "export", "diff"), help="diff changes nothing")
        program_argument(parser)
        parser.add_argument(
            "file", metavar="FILE.yaml", help="the catalogue; - is standard input, or standard output for export"
        )
        parser.add_argument("--check", action="store_true", help="with diff: exit 1 where anything differs")
        parser.add_argument(
            "--dry-run", action="store_true", help="with import: change nothing, and say what diff says"
        )
        parser.add_argument(
            "--retire-missing",
            action="store_true",
            help="with import and diff: retire what the file leaves out, instead of leaving it as it is",
        )
        super().add_arguments(parser)

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            super().handle(*args, **options)
        except CommandError as error:
            if options["action"] == "diff" and not isinstance(error, _Differs):
                error.returncode = TROUBLE
            raise

    def run(self, options: dict[str, Any]) -> None:
        for flag, actions in GOES_WITH.items():
            if options[flag] and options["action"] not in actions:
                raise CommandError(
                    f"--{flag.replace('_', '-')} goes with {' and '.join(actions)} only", returncode=TROUBLE
                )
        program = program_named(options)
        {"import": self._import, "export": self._export, "diff": self._diff}[options["action"]](program, options)

    def _import(self, program: MiniProgram, options: dict[str, Any]) -> None:
        if options["dry_run"]:
            self._compare(program, options)
            return
        done = import_catalogue(
            program_id=program.pk,
            catalogue=parse(read_text(options["file"])),
            by="operator",
            now=edge.now(),
            retire_missing=options["retire_missing"],
        )
        left = f"left as they are, since the file does not name them: {', '.join(done.absent)}"
        self.answer(
            options,
            asdict(done),
            ", ".join(f"{count} {outcome}" for outcome, count in done.counts().items()),
            then=(
                *((left,) if done.absent else ()),
                *_next(program.pk),
            ),
        )

    def _export(self, program: MiniProgram, options: dict[str, Any]) -> None:
        with tenant(program.pk):
            held = export_catalogue(program.pk)
        text = dump(held)
        if options["file"] != "-":
            _write(Path(options["file"]), text)
            self.answer(
                options, {"file": options["file"], "events": len(held.events)}, f"{len(held.events)} events written"
            )
        elif options["json"]:
            raise CommandError("export to - prints YAML: leave out --json, or name a file")
        else:
            self.stdout.write(text, ending="")

    def _diff(self, program: MiniProgram, options: dict[str, Any]) -> None:
        if self._compare(program, options) and options["check"]:
            raise _Differs("the file and the service differ", returncode=DIFFERENT)

    def _compare(self, program: MiniProgram, options: dict[str, Any]) -> Imported:
        found = compare_catalogue(
            program_id=program.pk,
            catalogue=parse(read_text(options["file"])),
            retire_missing=options["retire_missing"],
        )
        retiring = " --retire-missing" if options["retire_missing"] else ""
        following = f"next: manage.py catalogue import --program {program.pk}{retiring} {options['file']}"
        lines = list(_lines(found)) or ["no difference"]
        self.answer(options, asdict(found), *lines, then=(following,) if found.created or found.changes else ())
        return found


class _Differs(CommandError):
    """The answer of diff --check, which is no failure to compare."""


def _lines(found: Imported) -> Iterator[str]:
    yield from (f"created  {name}" for name in found.created)
    for outcome, names in (("updated", found.updated), ("retired", found.retired)):
        for name in names:
            yield f"{outcome}  {name}"
            yield from (f"         {_line(change)}" for change in found.changes[name])
    yield from (f"absent   {name} (left as it is)" for name in found.absent)


def _line(change: Change) -> str:
    if change.before is None:
        return f"{change.at}: added {_plain(change.after)}"
    if change.after is None:
        return f"{change.at}: removed {_plain(change.before)}"
    return f"{change.at}: {_plain(change.before)} -> {_plain(change.after)}"


def _plain(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False)


def _next(program_id: int) -> tuple[str, ...]:
    with tenant(program_id):
        if ApiClient.objects.filter(program_id=program_id).exists():
            return ()
    return (f"next: manage.py create_client --program {program_id} --scopes consents,events,requests,reports",)


def _write(path: Path, text: str) -> None:
    """In one step, so that a reader never meets half a file."""
    fresh = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        fresh.write_text(text, encoding="utf-8")
        fresh.replace(path)
    except OSError as error:
        raise CommandError(f"{path}: {error.strerror or 'cannot be written'}") from None
