"""What the edges (views, tasks, commands, admin) pass into the domain: the vault and the clock."""

from datetime import datetime
from functools import cache

from django.conf import settings
from django.utils import timezone

from consent.vault.identities import Vault


@cache
def vault() -> Vault:
    """The keyring, read once a process. Raises KeyringError."""
    return Vault.load(settings.ZHIQING_KEYRING_FILE)


def now() -> datetime:
    return timezone.now()
