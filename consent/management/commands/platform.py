"""Sets, tries and removes a mini-program's credentials at its platform."""

from typing import Any

from django.core.management.base import CommandError, CommandParser

from consent import edge
from consent.errors import Invalid
from consent.management.base import OperatorCommand, program_argument, program_named, read_text
from consent.platforms import credentials
from consent.platforms.exchange import exchange
from consent.programs.models import MiniProgram

NO_CODE = "zhiqing-platform-test"
"""No login code: a platform that knows the mini-program and its secret says just that."""


class Command(OperatorCommand):
    help = (
        "Set what Zhiqing needs to exchange a mini-program's login codes with its platform: WeChat's AppSecret, or the app's"
        " private key and Alipay's public key. They are sealed and never shown again. test: ask the platform with a code that"
        " is none, and exit 0 if that is all it finds wrong. remove: sessions are stepped up no more."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("action", choices=("set", "test", "remove"), help="test changes nothing")
        program_argument(parser)
        parser.add_argument(
            "--secret",
            metavar="FILE",
            help="with set: the AppSecret, or the app's private key (default: standard input)",
        )
        parser.add_argument("--alipay-public-key", metavar="FILE", help="with set, of Alipay: Alipay's public key")
        parser.add_argument("--dry-run", action="store_true", help="with set and remove: look, and change nothing")
        super().add_arguments(parser)

    def run(self, options: dict[str, Any]) -> None:
        action = options["action"]
        if action != "set" and (options["secret"] or options["alipay_public_key"]):
            raise CommandError("--secret and --alipay-public-key go with set")
        if action == "test" and options["dry_run"]:
            raise CommandError("--dry-run goes with set and remove: test changes nothing")
        program = program_named(options)
        if action == "set":
            self._set(program, options)
        elif action == "test":
            self._test(program, options)
        else:
            self._remove(program, options)

    def _set(self, program: MiniProgram, options: dict[str, Any]) -> None:
        public_key = options["alipay_public_key"]
        secret = read_text(options["secret"] or "-").strip()
        platform_key = None if public_key is None else read_text(public_key).strip()
        if options["dry_run"]:
            credentials.checked(program, secret=secret, platform_key=platform_key)
            replaced = credentials.is_set(program.pk)
        else:
            replaced = credentials.keep(
                vault=edge.vault(), program=program, secret=secret, platform_key=platform_key, by="operator"
            )
        result = _result(program, options, set=not options["dry_run"], replaced=replaced)
        then = (
            "nothing was set: it could be"
            if options["dry_run"]
            else f"next: manage.py platform test --program {program.pk}"
        )
        self.answer(options, result, then=(then,))

    def _test(self, program: MiniProgram, options: dict[str, Any]) -> None:
        held = credentials.held(vault=edge.vault(), program_id=program.pk, addresses=edge.platform_addresses())
        try:
            exchange(credentials=held, code=NO_CODE, now=edge.now())
        except Invalid as problem:
            if problem.code != "login_code_invalid":
                raise
            result = {"program": program.pk, "platform": program.platform, "works": True}
            self.answer(options, result, then=("the platform knows the mini-program and its secret",))
        else:
            raise CommandError("the platform took a code that is none: do not go by what it answers")

    def _remove(self, program: MiniProgram, options: dict[str, Any]) -> None:
        if options["dry_run"]:
            found = credentials.is_set(program.pk)
        else:
            found = credentials.remove(program_id=program.pk, by="operator")
        result = _result(program, options, removed=found and not options["dry_run"], found=found)
        then = "there were none" if not found else "they would be removed" if options["dry_run"] else "removed"
        self.answer(options, result, then=(then,))


def _result(program: MiniProgram, options: dict[str, Any], **told: bool) -> dict[str, Any]:
    return {"program": program.pk, "platform": program.platform, "dry_run": options["dry_run"], **told}
