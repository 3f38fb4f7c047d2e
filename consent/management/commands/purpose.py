"""Shows a mini-program's purposes, records impact assessments of them, activates and ends them."""

from typing import Any
from zoneinfo import ZoneInfo

from django.core.management.base import CommandError, CommandParser

from consent import edge
from consent.management.base import OperatorCommand, day, program_argument, program_named
from consent.notices import assessments
from consent.notices.models import Conclusion, Ground, Purpose
from consent.programs.models import MiniProgram
from consent.programs.tenancy import tenant

ASSESSMENT = ("reference", "assessed_on", "conclusion")


class Command(OperatorCommand):
    help = (
        "Show a mini-program's purposes and what they lack; record that a purpose's impact was assessed (PIPL 55);"
        " activate a purpose, or deactivate it: what was collected under it is erased. One that handles sensitive information, shares, automates decisions or crosses the border"
        " is not activated without an assessment, and one that came to not_acceptable deactivates it."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("action", choices=("show", "assess", "activate", "deactivate"), help="show changes nothing")
        program_argument(parser)
        parser.add_argument("--purpose", metavar="CODE", help="with all but show: the purpose")
        parser.add_argument(
            "--dry-run", action="store_true", help="with deactivate: count the consents; change nothing"
        )
        parser.add_argument("--reference", help="with assess: the number the assessment is filed under")
        parser.add_argument("--assessed-on", type=day, metavar="DATE", help="with assess: its day, 2026-10-01")
        parser.add_argument("--conclusion", choices=Conclusion.values, help="with assess: what it came to")
        parser.add_argument(
            "--covers",
            metavar="GROUNDS",
            help=f"with assess: what it looked at, of {','.join(Ground.values)}"
            " (default: whatever the notices make necessary now); an assessment is recorded before the version that needs it",
        )
        parser.add_argument("--document-sha256", metavar="SHA256", help="with assess: of its document")
        super().add_arguments(parser)

    def run(self, options: dict[str, Any]) -> None:
        action, code = options["action"], options["purpose"]
        if (action == "show") != (code is None):
            raise CommandError("give --purpose with all actions but show, and leave it out there")
        if options["dry_run"] and action != "deactivate":
            raise CommandError("--dry-run goes with deactivate")
        given = [name for name in (*ASSESSMENT, "covers", "document_sha256") if options[name] is not None]
        if action == "assess" and not set(ASSESSMENT) <= set(given):
            raise CommandError("give --reference, --assessed-on and --conclusion")
        if action != "assess" and given:
            raise CommandError("what describes an assessment goes with assess")
        program = program_named(options)
        changed, consents = False, dict[str, int]()
        if action == "assess":
            changed = self._assess(program, options)
        elif action == "activate":
            changed = assessments.activate(program_id=program.pk, purpose=code, by="operator")
        elif action == "deactivate":
            changed, consents = self._deactivate(program, code, dry_run=options["dry_run"])
        shown = _shown(program.pk, code)
        counted = [f"people who consent to it: {number}" for number in consents.values()]
        result = {"program": program.pk, "changed": changed, **consents, "purposes": shown}
        before = (
            ("this assessment was recorded before; nothing was changed",) if action == "assess" and not changed else ()
        )
        self.answer(options, result, *(_line(item) for item in shown), *counted, then=before)

    def _deactivate(self, program: MiniProgram, code: str, *, dry_run: bool) -> tuple[bool, dict[str, int]]:
        """Whether it changed anything, and how many people's consents come to nothing by it. Raises NotFound."""
        consents = {"consents": assessments.consenting(program.pk, code)}
        changed = not dry_run and assessments.deactivate(program_id=program.pk, purpose=code, by="operator")
        return changed, consents

    def _assess(self, program: MiniProgram, options: dict[str, Any]) -> bool:
        covers = options["covers"]
        return assessments.record(
            program_id=program.pk,
            purpose=options["purpose"],
            reference=options["reference"],
            assessed_on=options["assessed_on"],
            conclusion=options["conclusion"],
            covers=None if covers is None else [ground.strip() for ground in covers.split(",")],
            document_sha256=options["document_sha256"],
            by="operator",
            today=edge.now().astimezone(ZoneInfo(program.zone)).date(),
        )


def _shown(program_id: int, code: str | None) -> list[dict[str, Any]]:
    """Each purpose, or the one: whether it is active, why it needs an assessment, and what none covers."""
    with tenant(program_id):
        rows = Purpose.objects.filter(program_id=program_id).order_by("id")
        active = dict((rows if code is None else rows.filter(code=code)).values_list("code", "active"))
        needed = {name: assessments.needed(program_id, name) for name in active}
        lacking = assessments.lacking(program_id, needed)
    return [
        {"purpose": name, "active": is_active, "needed": sorted(needed[name]), "lacking": lacking.get(name, [])}
        for name, is_active in active.items()
    ]


def _line(item: dict[str, Any]) -> str:
    lacking = f", lacks an assessment of {', '.join(item['lacking'])}" if item["lacking"] else ""
    return f"{item['purpose']}: {'active' if item['active'] else 'not active'}{lacking}"
