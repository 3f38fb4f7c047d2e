"""Makes the keyring file."""

from typing import Any

from django.core.management.base import BaseCommand, CommandError
from django.db import OperationalError

from consent import edge
from consent.management.base import first_line
from consent.vault import keyring, rotation


class Command(BaseCommand):
    help = (
        "Create the keyring (ZHIQING_KEYRING_FILE, readable by its owner only) unless there is one; one from before"
        " receipts gets its first signing key, and no other key changes. Refused where the database knows somebody: their keyring has to be"
        " put there, since by a new one none of them is found. Back it up apart from the database: without it nothing sealed can be opened."
    )
    requires_system_checks: list[str] = []

    def handle(self, *args: Any, **options: Any) -> None:
        store = edge.key_store()
        try:
            if not store.exists() and rotation.needed():
                raise CommandError(
                    "the database knows people whom only its own keyring finds: put that one in place of ZHIQING_KEYRING_FILE"
                )
            if keyring.create(store, made=edge.now()):
                self.stdout.write("keyring created")
            elif keyring.complete(store):
                self.stdout.write("signing key added to the keyring: back it up again")
            else:
                self.stdout.write("keyring exists: left as it is")
        except keyring.KeyringError as error:
            raise CommandError(str(error)) from None
        except OperationalError as error:
            raise CommandError(
                f"whether the database has a keyring already cannot be told: {first_line(error)}"
            ) from None
