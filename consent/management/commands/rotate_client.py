"""Issues a client's next key."""

from datetime import timedelta
from typing import Any

from django.core.management.base import CommandParser

from consent import edge
from consent.management.base import (
    OperatorCommand,
    client_argument,
    client_named,
    days,
    program_argument,
    program_named,
)
from consent.programs.authentication import rotate_client


class Command(OperatorCommand):
    help = (
        "Print a new key of an API client. The key before it stays valid for --overlap-days at most, so that the caller"
        " can change over without a gap; older ones end at once."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        program_argument(parser)
        client_argument(parser)
        for flag, default, about in (
            ("--valid-days", 365, "days until the new key expires"),
            ("--overlap-days", 7, "days for which the key before it stays valid"),
        ):
            parser.add_argument(
                flag,
                type=days,
                default=timedelta(days=default),
                metavar="DAYS",
                help=f"{about}, 1 to 3650 (default: {default})",
            )
        super().add_arguments(parser)

    def run(self, options: dict[str, Any]) -> None:
        program = program_named(options)
        client_id = client_named(program, options)
        now = edge.now()
        issued = rotate_client(
            program_id=program.pk,
            client_id=client_id,
            now=now,
            valid_for=options["valid_days"],
            overlap=options["overlap_days"],
        )
        result = {
            "client_id": issued.client_id,
            "key_id": issued.token.split("_")[1],
            "key": issued.token,
            "expires_at": issued.expires_at,
            "previous_until": now + options["overlap_days"],
        }
        self.answer(
            options,
            result,
            issued.token,
            then=(
                f"client {client_id} has the new key {result['key_id']}, valid until {issued.expires_at:%Y-%m-%d}",
                f"next: keep it now, it is not shown again, and put it into use before"
                f" {result['previous_until']:%Y-%m-%d %H:%M} UTC, when the key before it ends",
            ),
        )
