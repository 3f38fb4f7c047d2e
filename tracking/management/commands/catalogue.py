"""Imports, exports and compares the event catalogue."""

import os
from pathlib import Path
from typing import Any

from django.core.management.base import CommandError, CommandParser

from consent import edge
from consent.management.base import OperatorCommand, program_argument, program_named, read_text
from consent.programs.models import MiniProgram
from consent.programs.tenancy import tenant
from tracking.catalogue import Catalogue, export_catalogue, import_catalogue, parse
from tracking.catalogue_text import Difference, compare, dump


class Command(OperatorCommand):
    help = (
        "Import a mini-program's event catalogue from a YAML file, export it to one, or say what differs. An import"
        " creates and updates; what the file leaves out stays as it is (retire it with status: retired)."
        " docs/formats.md describes the file, docs/examples/catalogue.yaml is the one to start from."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("action", choices=("import", "export", "diff"), help="diff changes nothing")
        program_argument(parser)
        parser.add_argument(
            "file", metavar="FILE.yaml", help="the catalogue; - is standard input, or standard output for export"
        )
        parser.add_argument("--check", action="store_true", help="with diff: exit 1 where anything differs")
        super().add_arguments(parser)

    def run(self, options: dict[str, Any]) -> None:
        if options["check"] and options["action"] != "diff":
            raise CommandError("--check goes with diff only")
        program = program_named(options)
        {"import": self._import, "export": self._export, "diff": self._diff}[options["action"]](program, options)

    def _import(self, program: MiniProgram, options: dict[str, Any]) -> None:
        done = import_catalogue(
            program_id=program.pk, catalogue=parse(read_text(options["file"])), by="operator", now=edge.now()
        )
        self.answer(
            options,
            done,
            ", ".join(f"{len(names)} {outcome}" for outcome, names in done.items()),
            then=(f"next: manage.py create_client --program {program.pk} --scopes consents,events,requests,reports",),
        )

    def _export(self, program: MiniProgram, options: dict[str, Any]) -> None:
        held = self._held(program)
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
        found = compare(self._held(program), parse(read_text(options["file"])))
        result = {"added": found.added, "changed": found.changed, "removed": found.removed}
        following = (
            (f"next: manage.py catalogue import --program {program.pk} {options['file']}",)
            if found.added or found.changed
            else ()
        )
        self.answer(options, result, *_lines(found), then=following)
        if found and options["check"]:
            raise CommandError("the file and the service differ", returncode=1)

    def _held(self, program: MiniProgram) -> Catalogue:
        with tenant(program.pk):
            return export_catalogue(program.pk)


def _lines(found: Difference) -> list[str]:
    if not found:
        return ["no difference"]
    return [
        *(f"added    {name}" for name in found.added),
        *(f"changed  {name}: {', '.join(fields)}" for name, fields in found.changed.items()),
        *(f"removed  {name} (an import leaves it as it is)" for name in found.removed),
    ]


def _write(path: Path, text: str) -> None:
    """In one step, so that a reader never meets half a file."""
    fresh = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        fresh.write_text(text, encoding="utf-8")
        fresh.replace(path)
    except OSError as error:
        raise CommandError(f"{path}: {error.strerror or 'cannot be written'}") from None
