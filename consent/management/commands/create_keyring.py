"""Makes the keyring file."""

from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand

from consent.vault import keyring


class Command(BaseCommand):
    help = (
        "Create the keyring (ZHIQING_KEYRING_FILE, readable by its owner only) unless there is one. Back it up apart"
        " from the database: without it nothing sealed can be opened, and no subject found."
    )
    requires_system_checks: list[str] = []

    def handle(self, *args: Any, **options: Any) -> None:
        made = keyring.create(settings.ZHIQING_KEYRING_FILE)
        self.stdout.write("keyring created" if made else "keyring exists: left as it is")
