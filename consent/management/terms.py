"""What the commands for processors and for cross-border mechanisms share: a term is listed, added, changed and ended."""

from argparse import ArgumentTypeError
from collections.abc import Collection
from datetime import date
from typing import Any

from django.core.management.base import CommandError, CommandParser
from django.db import transaction

from consent.management.base import OperatorCommand, day, program_argument, program_named
from consent.notices import assessments
from consent.notices.models import Purpose
from consent.processing import terms
from consent.processing.models import Mechanism, Processor
from consent.programs.models import MiniProgram
from consent.programs.tenancy import tenant
from consent.records.queries import today

OPEN = "open"
BY = "operator"
SHARED = ("purposes", "valid_from", "valid_until")
FLAGS = {"valid_from": "from", "valid_until": "until"}


class TermCommand(OperatorCommand):
    """Subclasses say the model, its fields as flags, which of them `add` needs, and which take several codes."""

    model: type[Processor | Mechanism]
    fields: dict[str, str]
    """Field -> what its flag's help says."""
    needed: tuple[str, ...]
    several: tuple[str, ...] = ()
    choices: dict[str, Collection[str]] = {}

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("action", choices=("list", "add", "change", "end"), help="list changes nothing")
        program_argument(parser)
        parser.add_argument("--number", type=int, metavar="NUMBER", help="with change and end: as list prints it")
        for name, said in self.fields.items():
            kind = codes if name in self.several else str
            parser.add_argument(f"--{name}", type=kind, choices=self.choices.get(name), help=said)
        parser.add_argument("--purposes", type=codes, help="the purposes it is for, separated by commas")
        parser.add_argument("--from", dest="valid_from", type=day, metavar="DATE", help="the first day, 2026-10-01")
        parser.add_argument(
            "--until",
            dest="valid_until",
            type=last_day,
            metavar="DATE",
            help=f"the last day, or {OPEN} where there is none yet (default: with add {OPEN}, with end today unless it ended before)",
        )
        parser.add_argument("--dry-run", action="store_true", help="say what would come of it; change nothing")
        super().add_arguments(parser)

    def run(self, options: dict[str, Any]) -> None:
        action = options["action"]
        given = {name: options[name] for name in (*self.fields, *SHARED) if options[name] is not None}
        self._check(action, options, given)
        program = program_named(options)
        if action == "list":
            self._list(program, options)
        else:
            self._act(program, options, given)

    def _check(self, action: str, options: dict[str, Any], given: dict[str, Any]) -> None:
        """Raises CommandError for flags that do not go with the action."""
        if (action in ("change", "end")) != (options["number"] is not None):
            raise CommandError("give --number with change and end, and leave it out elsewhere")
        if action == "list" and (given or options["dry_run"]):
            raise CommandError("list takes --program alone")
        if action == "add" and (missing := [name for name in (*self.needed, *SHARED[:2]) if name not in given]):
            raise CommandError(f"give {', '.join(f'--{FLAGS.get(name, name)}' for name in missing)} with add")
        if action == "end" and (set(given) - {"valid_until"} or given.get("valid_until") == OPEN):
            raise CommandError("end takes the last day, --until DATE, and nothing else")

    def _list(self, program: MiniProgram, options: dict[str, Any]) -> None:
        with tenant(program.pk):
            now = today(program.pk)
            rows = [self._row(term, now) for term in self.model.objects.filter(program_id=program.pk).order_by("id")]
            more = self.more(program.pk)
        self.answer(options, {"program": program.pk, f"{self._kind}s": rows} | more, *map(_line, rows), *_told(more))

    def _act(self, program: MiniProgram, options: dict[str, Any], given: dict[str, Any]) -> None:
        """In one transaction, which --dry-run undoes: it is refused as it would be, and its counts are those of afterwards."""
        with tenant(program.pk):
            now = today(program.pk)
            if options["action"] == "add":
                term, changed = self._added(program.pk, given), True
            else:
                ending = now if options["action"] == "end" else None
                term, changed = self._changed(program.pk, options["number"], given, ending=ending)
            row, unknown = self._row(term, now), self.unknown(program.pk, term)
            active = sorted(assessments.active(program.pk) & set(term.purposes))
            more = self.more(program.pk)
            transaction.set_rollback(options["dry_run"])
        if options["dry_run"] and options["action"] == "add":
            row["number"] = None
        result = {
            "program": program.pk,
            "changed": changed and not options["dry_run"],
            self._kind: row,
            "active_purposes": active,
            "unknown": unknown,
            **more,
        }
        counted = f"active purposes it is for: {len(active)}"
        hints = [f"no notice of this mini-program names {name}" for name in unknown]
        undone = ["nothing was changed"] if not result["changed"] else []
        self.answer(options, result, _line(row), counted, *_told(more), then=(*hints, *undone))

    @property
    def _kind(self) -> str:
        return str(self.model._meta.model_name)

    def _added(self, program_id: int, given: dict[str, Any]) -> Any:
        blank = {name: [] if name in self.several else "" for name in self.fields}
        return terms.add(self.model, program_id=program_id, given=_days({**blank, "valid_until": OPEN, **given}), by=BY)

    def _changed(self, program_id: int, number: int, given: dict[str, Any], *, ending: date | None) -> tuple[Any, bool]:
        """`ending`: the last day unless one is given; what ended before stays as it ended, for it covered nothing since."""
        own = self.model.objects.filter(program_id=program_id)
        held = own.select_for_update(no_key=True).filter(id=number).first() if 0 < number < 2**63 else None
        if held is None:
            raise CommandError("this mini-program has none of this number: list prints them")
        whole = {name: getattr(held, name) for name in (*self.fields, *SHARED)}
        if ending is not None:
            whole["valid_until"] = min(held.valid_until or ending, ending)
        changed = terms.change(self.model, program_id=program_id, term_id=number, given=_days(whole | given), by=BY)
        return own.get(id=number), changed

    def unknown(self, program_id: int, term: Any) -> list[str]:
        """What it names that no notice of the mini-program does, as one to come may, or where it is written otherwise."""
        held = Purpose.objects.filter(program_id=program_id).values_list("code", flat=True)
        return sorted(set(term.purposes) - set(held))

    def more(self, program_id: int) -> dict[str, Any]:
        """What else is to be told of the mini-program: `unlet`, as consent.notices.assessments answers it, or nothing."""
        return {}

    def _row(self, term: Any, now: date) -> dict[str, Any]:
        """As JSON has it; `standing`: coming, valid, ending or ended."""
        stage = terms.stage(term, today=now)
        standing = "coming" if term.valid_from > now else stage.value if stage else "valid"
        own = {name: getattr(term, name) for name in (*self.fields, "purposes")}
        until = term.valid_until.isoformat() if term.valid_until else None
        return {"number": term.pk, "standing": standing, **own, "from": term.valid_from.isoformat(), "until": until}


def codes(text: str) -> list[str]:
    """argparse type: codes, separated by commas."""
    return sorted({code.strip() for code in text.split(",") if code.strip()})


def last_day(text: str) -> date | str:
    """argparse type: a date, or OPEN."""
    try:
        return OPEN if text == OPEN else day(text)
    except ArgumentTypeError:
        raise ArgumentTypeError(f"write a date, 2026-10-01, or {OPEN}") from None


def _days(given: dict[str, Any]) -> dict[str, Any]:
    return given | ({"valid_until": None} if given["valid_until"] == OPEN else {})


def _line(row: dict[str, Any]) -> str:
    name = row.get("name") or row["recipient"]
    return (
        f"{row['number'] or '-'}  {row['standing']}  {name}  until {row['until'] or OPEN}  {','.join(row['purposes'])}"
    )


def _told(more: dict[str, Any]) -> list[str]:
    return [
        f"{code} is active, and no mechanism is valid today for {', '.join(names)}"
        for code, names in more.get("unlet", {}).items()
    ]
