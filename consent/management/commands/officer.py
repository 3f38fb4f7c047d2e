"""What an operator does for an officer who cannot sign in."""

from typing import Any

from django.conf import settings
from django.contrib.auth.models import User
from django.core.management.base import CommandError, CommandParser

from consent import edge
from consent.management.base import OperatorCommand
from consent.officers import second_factor
from consent.programs.models import MiniProgram

OPERATOR = "operator"


class Command(OperatorCommand):
    help = (
        "reset: take an account's second factor away, so that it sets up a new one at its next sign-in."
        " code: print a code that is good now, where all mini-programs are sandboxes and the service has no TLS."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("action", choices=("reset", "code"))
        parser.add_argument("username", help="the account, as it signs in")
        super().add_arguments(parser)

    def run(self, options: dict[str, Any]) -> None:
        user = User.objects.filter(username=options["username"], is_staff=True).first()
        if user is None:
            raise CommandError("there is no staff account of this name: createsuperuser makes the first one")
        if options["action"] == "reset":
            second_factor.reset(user.pk, by=OPERATOR)
            told = "the second factor is reset; the account sets up a new one at its next sign-in"
            self.answer(options, {"account": user.pk}, then=(told,))
            return
        if settings.TLS or MiniProgram.objects.filter(sandbox=False).exists():
            raise CommandError("codes are printed only without TLS, and where all mini-programs are sandboxes")
        code = second_factor.handed_out(edge.vault().keyring, user.pk, now=edge.now())
        self.answer(options, {"code": code}, code, then=("good once, within the minute",))
