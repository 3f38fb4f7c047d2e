"""Looks at risks, and lists what was found."""

from typing import Any

from django.core.management.base import CommandError, CommandParser

from consent import edge
from consent.management.base import OperatorCommand, program_argument, program_named
from consent.monitoring import runs
from consent.monitoring.checks import title
from consent.monitoring.models import RiskRun
from consent.programs.models import MiniProgram
from consent.programs.tenancy import tenant

BY, LISTED = "operator", 30


class Command(OperatorCommand):
    help = (
        "Look at what the service knows of risks and keep what was found (run; the worker does so every day), exit 1 where"
        f" something is above its threshold that nobody has remarked on, or print the last {LISTED} looks (list)."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("action", choices=("run", "list"), help="list changes nothing")
        program_argument(parser)
        super().add_arguments(parser)

    def run(self, options: dict[str, Any]) -> None:
        getattr(self, f"_{options['action']}")(program_named(options), options)

    def _run(self, program: MiniProgram, options: dict[str, Any]) -> None:
        made = runs.run(program_id=program.pk, keyring=edge.vault().keyring, sinks=edge.ledger_sinks(), by=BY)
        with tenant(program.pk):
            left = runs.unremarked(made)
            lines = [_line(finding) for finding in runs.findings(made)]
        self.answer(options, _row(made) | {"unremarked": [finding.code for finding in left]}, *lines)
        if left:
            raise CommandError(f"{len(left)} findings without a remark: see them in the admin", returncode=1)

    def _list(self, program: MiniProgram, options: dict[str, Any]) -> None:
        with tenant(program.pk):
            found = RiskRun.objects.filter(program_id=program.pk).order_by("-checked_at", "-id")
            rows = [_row(one) for one in found[:LISTED]]
        lines = [f"{row['checked_at'].isoformat()}  #{row['run']}  {row['by']}  {row['above']} above" for row in rows]
        self.answer(options, {"runs": rows}, *lines)


def _row(made: RiskRun) -> dict[str, Any]:
    return {"run": made.pk, "checked_at": made.checked_at, "by": made.by, "above": made.above, "found": made.found}


def _line(finding: runs.Finding) -> str:
    outcome = finding.outcome
    mark = "ok" if not outcome.above else "remarked" if finding.remarked else "ABOVE"
    found = "failed" if outcome.found is None else outcome.found
    return f"{mark:<9} {found} (threshold {outcome.threshold})  {finding.code}: {title(finding.code)}"
