"""Sets up a mini-program."""

from typing import Any

from django.core.management.base import CommandParser

from consent.management.base import OperatorCommand
from consent.programs.actions import create_program
from consent.programs.models import Platform, SuiteName


class Command(OperatorCommand):
    help = "Create a mini-program, and its controller where that is new. Prints the mini-program's id."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--name", required=True, help="what officers and reports call it")
        parser.add_argument(
            "--controller", required=True, help="the company that decides on purposes and means (PIPL: handler)"
        )
        parser.add_argument("--platform", required=True, choices=Platform.values, help="where the mini-program runs")
        parser.add_argument("--app-id", required=True, help="its app id on that platform; one mini-program each")
        parser.add_argument(
            "--zone", default="Asia/Shanghai", help="IANA time zone its reports work in (default: Asia/Shanghai)"
        )
        parser.add_argument(
            "--sandbox",
            action="store_true",
            help="for synthetic data only: reports show every figure (k = 1); it never becomes a real one",
        )
        parser.add_argument(
            "--suite",
            default=SuiteName.AES.value,
            choices=SuiteName.values,
            help="how its data are sealed and found, for as long as it is: aes (AES-256-GCM, HMAC-SHA256; the default) or sm"
            " (SM4-GCM, HMAC-SM3)",
        )
        super().add_arguments(parser)

    def run(self, options: dict[str, Any]) -> None:
        made = create_program(
            **{name: options[name] for name in ("name", "controller", "platform", "app_id", "zone", "sandbox", "suite")}
        )
        result = {
            "id": made.pk,
            "name": made.name,
            "controller": made.controller.name,
            "platform": made.platform,
            "app_id": made.app_id,
            "zone": made.zone,
            "sandbox": made.sandbox,
            "suite": made.suite,
        }
        self.answer(
            options,
            result,
            str(made.pk),
            then=(
                f"mini-program {made.pk} created: {made.name}, {made.platform}, zone {made.zone}, suite {made.suite}"
                + (", a sandbox for synthetic data only" if made.sandbox else ""),
                f"next: manage.py publish_notice --program {made.pk} docs/examples/notice.yaml",
            ),
        )
