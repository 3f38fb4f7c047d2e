"""Says which requests are overdue, and which refusals nobody was told of."""

from datetime import timedelta
from typing import Any

from django.conf import settings
from django.core.management.base import CommandError, CommandParser

from consent import edge
from consent.management.base import OperatorCommand, program_named
from consent.programs.models import MiniProgram
from consent.programs.tenancy import tenant, without_tenant
from consent.rights import deadlines, queries, tasks


class Command(OperatorCommand):
    help = (
        "Print the requests whose deadline is over and the refusals that nobody was told of, of every mini-program, and exit"
        " 1 where there are any."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--overdue", action="store_true", required=True, help="what is late; nothing is changed")
        parser.add_argument("--program", type=int, metavar="ID", help="this mini-program only, instead of all")
        super().add_arguments(parser)

    def run(self, options: dict[str, Any]) -> None:
        if options["program"] is None:
            with without_tenant():
                programs = list(MiniProgram.objects.order_by("id"))
        else:
            programs = [program_named(options)]
        furthest = edge.now() + timedelta(days=settings.ZHIQING_DUE_DAYS)
        late = [row for program in programs for row in _late(program.pk)]
        lines = [f"{row['program']}  {row['request']}  {row['stage']} since {row['since'].isoformat()}" for row in late]
        self.answer(options, {"overdue": late, "calendar_published": deadlines.published(furthest.date())}, *lines)
        if late:
            raise CommandError(f"{len(late)} requests are late: see them in the admin", returncode=1)


def _late(program_id: int) -> list[dict[str, Any]]:
    now, patience = edge.now(), tasks.patience()
    with tenant(program_id):
        overdue = list(queries.overdue(program_id, now=now).order_by("due_at", "id"))
        refused = list(queries.undelivered(program_id, before=now - patience.delivery).order_by("closed_at", "id"))
    return [_row(row, "overdue", row.due_at) for row in overdue] + [
        _row(row, "undelivered", row.closed_at) for row in refused
    ]


def _row(request: Any, stage: str, since: Any) -> dict[str, Any]:
    return {
        "program": request.program_id,
        "request": str(request.id),
        "kind": request.kind,
        "stage": stage,
        "since": since,
    }
