"""What the edges (views, tasks, commands, admin) pass into the domain: the vault, the clock and what is configured."""

from collections.abc import Mapping
from datetime import datetime, timedelta
from functools import cache

from django.conf import settings
from django.utils import timezone

from consent.programs.models import Platform
from consent.vault.identities import Vault


@cache
def vault() -> Vault:
    """The keyring, read once a process. Raises KeyringError."""
    return Vault.load(settings.ZHIQING_KEYRING_FILE)


def now() -> datetime:
    return timezone.now()


def notice_lead() -> timedelta:
    """How long after its publication a notice takes effect at the soonest."""
    lead: timedelta = settings.NOTICE_LEAD
    return lead


def platform_addresses() -> Mapping[str, str]:
    """Where login codes are exchanged, by platform."""
    return {Platform.WECHAT: settings.ZHIQING_WECHAT_URL, Platform.ALIPAY: settings.ZHIQING_ALIPAY_URL}
