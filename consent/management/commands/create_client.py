"""Issues an API key."""

from datetime import timedelta
from typing import Any

from django.core.management.base import CommandParser

from consent import edge
from consent.management.base import OperatorCommand, days, program_argument, program_named
from consent.programs.authentication import create_client
from consent.programs.models import SCOPES


class Command(OperatorCommand):
    help = (
        "Create an API client of a mini-program and print its key, which is stored hashed and shown this once."
        f" Scopes: {', '.join(SCOPES)}."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        program_argument(parser)
        parser.add_argument("--scopes", required=True, help="what the key may do, separated by commas: consents,events")
        parser.add_argument(
            "--valid-days",
            type=days,
            default=timedelta(days=365),
            metavar="DAYS",
            help="days until the key expires, 1 to 3650 (default: 365)",
        )
        super().add_arguments(parser)

    def run(self, options: dict[str, Any]) -> None:
        program = program_named(options)
        scopes = sorted({scope.strip() for scope in options["scopes"].split(",") if scope.strip()})
        issued = create_client(program_id=program.pk, scopes=scopes, now=edge.now(), valid_for=options["valid_days"])
        result = {
            "client_id": issued.client_id,
            "key_id": issued.token.split("_")[1],
            "key": issued.token,
            "scopes": scopes,
            "expires_at": issued.expires_at,
        }
        self.answer(
            options,
            result,
            issued.token,
            then=(
                f"client {issued.client_id} created, key {result['key_id']}, valid until {issued.expires_at:%Y-%m-%d},"
                f" scopes {', '.join(scopes)}",
                "next: keep the key now, it is not shown again; send it as Authorization: Bearer zq_…",
            ),
        )
