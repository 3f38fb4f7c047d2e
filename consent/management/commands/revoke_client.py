"""Ends a client's keys."""

from typing import Any

from django.core.management.base import CommandParser

from consent import edge
from consent.management.base import OperatorCommand, client_argument, client_named, program_argument, program_named
from consent.programs.authentication import revoke_client


class Command(OperatorCommand):
    help = "End all keys of an API client at once: its next call is answered 401."

    def add_arguments(self, parser: CommandParser) -> None:
        program_argument(parser)
        client_argument(parser)
        parser.add_argument(
            "--without-journal",
            action="store_true",
            help="end them where the journal cannot be written, too; run this again once it can, or a backup from before"
            " brings them back",
        )
        super().add_arguments(parser)

    def run(self, options: dict[str, Any]) -> None:
        program = program_named(options)
        client_id = client_named(program, options)
        journaled = not options["without_journal"]
        revoked = revoke_client(program_id=program.pk, client_id=client_id, now=edge.now(), journaled=journaled)
        self.answer(
            options,
            {"client_id": client_id, "revoked": revoked},
            f"{revoked} key{'' if revoked == 1 else 's'} of client {client_id} revoked",
            then=(
                f"next: manage.py rotate_client --program {program.pk} --client {client_id} issues a key of the same"
                " scopes, where the caller is to go on",
            ),
        )
