"""Says and sets which kinds of requests wait for an officer."""

from typing import Any

from django.core.management.base import CommandError, CommandParser

from consent.management.base import OperatorCommand, program_argument, program_named
from consent.programs.tenancy import tenant
from consent.rights.review import REVIEWABLE, reviewed_kinds, set_review


class Command(OperatorCommand):
    help = (
        "Send a mini-program's requests of a kind to review, so that nothing is carried out before an officer approves"
        " it in the admin; or no longer; or show which kinds are sent. Switching it off leaves in review what is there."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("action", choices=("on", "off", "show"), help="show changes nothing")
        program_argument(parser)
        parser.add_argument("--kind", choices=REVIEWABLE, help="with on and off: the kind of request")
        super().add_arguments(parser)

    def run(self, options: dict[str, Any]) -> None:
        action, kind = options["action"], options["kind"]
        if (action == "show") != (kind is None):
            raise CommandError("give --kind with on and off, and leave it out with show")
        program = program_named(options)
        changed = action != "show" and set_review(program_id=program.pk, kind=kind, on=action == "on", by="operator")
        with tenant(program.pk):
            kinds = reviewed_kinds(program.pk)
        result = {"program": program.pk, "kinds": kinds, "changed": changed}
        self.answer(options, result, ", ".join(kinds) or "none", then=("these kinds of requests wait for an officer",))
