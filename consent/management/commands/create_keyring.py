"""Makes the keyring file."""

from typing import Any

from django.core.management.base import BaseCommand, CommandError

from consent import edge
from consent.vault import keyring


class Command(BaseCommand):
    help = (
        "Create the keyring (ZHIQING_KEYRING_FILE, readable by its owner only) unless there is one; one from before"
        " receipts gets its first signing key, and no other key changes. Back it up apart from the database: without it"
        " nothing sealed can be opened, and no subject found."
    )
    requires_system_checks: list[str] = []

    def handle(self, *args: Any, **options: Any) -> None:
        store = edge.key_store()
        try:
            if keyring.create(store, made=edge.now()):
                self.stdout.write("keyring created")
            elif keyring.complete(store):
                self.stdout.write("signing key added to the keyring: back it up again")
            else:
                self.stdout.write("keyring exists: left as it is")
        except keyring.KeyringError as error:
            raise CommandError(str(error)) from None
