"""Says and sets which kinds of requests wait for an officer, and notes how a requester was verified."""

import uuid
from typing import Any

from django.conf import settings
from django.core.management.base import CommandError, CommandParser

from consent import edge
from consent.management.base import OperatorCommand, program_argument, program_named
from consent.programs.models import MiniProgram
from consent.programs.tenancy import tenant
from consent.rights import requesters, tasks
from consent.rights.review import REVIEWABLE, reviewed_kinds, set_review


class Command(OperatorCommand):
    help = (
        "Send a mini-program's requests of a kind to review, so that nothing is carried out before an officer approves"
        " it in the admin; or no longer; or show which kinds are sent. Switching it off leaves in review what is there."
        " verify: note how it was made sure that a guardian, the next of kin or an agent may ask; the request goes on."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("action", choices=("on", "off", "show", "verify"), help="show changes nothing")
        program_argument(parser)
        parser.add_argument("--kind", choices=REVIEWABLE, help="with on and off: the kind of request")
        parser.add_argument("--request", type=uuid.UUID, metavar="ID", help="with verify: the request")
        parser.add_argument("--method", choices=requesters.Method.values, help="with verify: how it was made sure")
        parser.add_argument("--reference", help="with verify: where the evidence is kept; it is sealed")
        super().add_arguments(parser)

    def run(self, options: dict[str, Any]) -> None:
        action, kind = options["action"], options["kind"]
        if (action in ("on", "off")) != (kind is not None):
            raise CommandError("give --kind with on and off, and leave it out otherwise")
        program = program_named(options)
        if action == "verify":
            self._verify(program, options)
            return
        changed = action != "show" and set_review(program_id=program.pk, kind=kind, on=action == "on", by="operator")
        with tenant(program.pk):
            kinds = reviewed_kinds(program.pk)
        result = {"program": program.pk, "kinds": kinds, "changed": changed}
        self.answer(options, result, ", ".join(kinds) or "none", then=("these kinds of requests wait for an officer",))

    def _verify(self, program: MiniProgram, options: dict[str, Any]) -> None:
        request_id, method, reference = options["request"], options["method"], options["reference"]
        if request_id is None or method is None or reference is None:
            raise CommandError("give --request, --method and --reference with verify")
        requesters.verify(
            vault=edge.vault(),
            program_id=program.pk,
            request_id=request_id,
            method=requesters.Method(method),
            reference=reference,
            undo=settings.ZHIQING_ERASURE_UNDO,
            by="operator",
            on_due=tasks.hint,
        )
        self.answer(options, {"request": str(request_id), "method": method}, str(request_id), then=("it goes on",))
