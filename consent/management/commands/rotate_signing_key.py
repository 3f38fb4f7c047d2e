"""Adds the next signing key to the keyring."""

from datetime import timedelta
from typing import Any

from django.core.management.base import CommandError, CommandParser

from consent import edge
from consent.management.base import OperatorCommand, moment
from consent.vault import keyring

LEAD = timedelta(hours=1)


class Command(OperatorCommand):
    help = (
        "Add a key that signs the receipts of what is recorded from a time on. Its public key is published at once, those"
        " before it stay published, and older receipts stay as they are. Back the keyring up again, and have it on every machine"
        " before that time: processes take it up by themselves."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument(
            "--effective-at",
            type=moment,
            metavar="TIME",
            help="from when on it signs, RFC 3339 with an offset: 2026-10-01T00:00:00+08:00 (default: in an hour)",
        )
        super().add_arguments(parser)

    def run(self, options: dict[str, Any]) -> None:
        now = edge.now()
        since = options["effective_at"] or now + LEAD
        if since <= now:
            raise CommandError("give a time to come: receipts of what was recorded already are not signed anew")
        try:
            keyring.complete(edge.key_store())
            added = keyring.add_signing_key(edge.key_store(), since=since)
        except keyring.KeyringError as error:
            raise CommandError(str(error)) from None
        self.answer(
            options,
            {"version": added.version, "kid": added.kid, "effective_at": added.since},
            added.kid,
            then=(
                f"signing key {added.version} signs from {added.since.isoformat(timespec='seconds')} on",
                "next: back the keyring up again, and have it on every machine before that time",
            ),
        )
