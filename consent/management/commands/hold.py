"""Makes, lifts and lists legal holds."""

import uuid
from typing import Any

from django.core.management.base import CommandError, CommandParser

from consent.management.base import OperatorCommand, day, program_argument, program_named
from consent.programs.models import MiniProgram
from consent.programs.tenancy import tenant
from consent.rights import legal_holds
from consent.rights.holders import holdable
from consent.rights.models import HoldGround, LegalHold

NEEDED = {"add": ("holder", "ground", "law", "until"), "lift": ("hold",), "show": ()}


class Command(OperatorCommand):
    help = (
        "Keep what a law obliges a holder of personal data to keep although its person asks to be erased, of everybody or of"
        " the person of a request; or end that before its day; or list the holds. The rest is erased, and what was kept is"
        " erased when the hold is over."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("action", choices=tuple(NEEDED), help="show changes nothing")
        program_argument(parser)
        known = [holder.identifier for holder in holdable()]
        parser.add_argument("--holder", choices=known, help="with add: whose data are kept")
        parser.add_argument("--ground", choices=HoldGround.values, help="with add: why")
        parser.add_argument("--law", help="with add: the law and its article, for people to read")
        parser.add_argument("--until", type=day, metavar="YYYY-MM-DD", help="with add: the last day")
        parser.add_argument("--request", type=uuid.UUID, metavar="ID", help="with add: only the person of this request")
        parser.add_argument(
            "--hold", type=int, metavar="NUMBER", help="with lift: the hold's number, as add printed it"
        )
        super().add_arguments(parser)

    def run(self, options: dict[str, Any]) -> None:
        action = options["action"]
        if missing := [f"--{name}" for name in NEEDED[action] if options[name] is None]:
            raise CommandError(f"give {', '.join(missing)} with {action}")
        program = program_named(options)
        if action == "add":
            made = legal_holds.hold(
                program_id=program.pk,
                holder=options["holder"],
                ground=HoldGround(options["ground"]),
                law=options["law"],
                until=options["until"],
                request_id=options["request"],
                by="operator",
            )
            self.answer(options, {"hold": made.pk}, str(made.pk), then=("the number of the hold: lift takes it",))
        elif action == "lift":
            legal_holds.lift(program_id=program.pk, hold_id=options["hold"], by="operator")
            self.answer(options, {"hold": options["hold"]}, then=("lifted: what was kept is erased within the hour",))
        else:
            self._show(program, options)

    def _show(self, program: MiniProgram, options: dict[str, Any]) -> None:
        with tenant(program.pk):
            found = [_row(hold) for hold in LegalHold.objects.filter(program=program).order_by("id")]
        lines = [
            f"{row['hold']}  {row['holder']}  {'lifted' if row['lifted'] else row['until']}  {row['law']}"
            for row in found
        ]
        self.answer(options, {"holds": found}, *lines)


def _row(hold: LegalHold) -> dict[str, Any]:
    return {
        "hold": hold.pk,
        "holder": hold.holder,
        "ground": hold.ground,
        "law": hold.law,
        "until": hold.until.isoformat(),
        "everybody": hold.everybody,
        "lifted": hold.lifted_at is not None,
    }
