"""The secrets of mini-programs at their platforms: sealed, opened for one exchange, never shown again."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field

from consent.errors import Conflict, Invalid
from consent.ledger.audit import audit
from consent.platforms import alipay, wechat
from consent.platforms.models import PlatformCredential
from consent.programs.models import MiniProgram, Platform
from consent.programs.tenancy import tenant
from consent.vault import writing
from consent.vault.envelope import NOBODY, Cell, open_own, seal_own
from consent.vault.identities import Vault


@dataclass(frozen=True)
class Credentials:
    """What an exchange needs. `secret`: WeChat's AppSecret or, in PEM, the app's private key at Alipay; `platform_key`:
    Alipay's public key in PEM. `address`: of the platform, without a path.
    """

    platform: str
    app_id: str
    address: str
    secret: str = field(repr=False)
    platform_key: str = field(default="", repr=False)


def held(*, vault: Vault, program_id: int, addresses: Mapping[str, str]) -> Credentials:
    """Those that are set. Not within a transaction that stays open for the exchange. Raises Conflict
    `platform_not_configured`, DoesNotOpen, KeyringError.
    """
    with tenant(program_id):
        found = PlatformCredential.objects.select_related("program").filter(program_id=program_id).first()
    if found is None:
        raise Conflict("platform_not_configured", "this mini-program's credentials at its platform are not set")
    opened = json.loads(open_own(vault.keyring, bytes(found.sealed), cell(program_id)))
    program = found.program
    return Credentials(program.platform, program.app_id, addresses[program.platform], **opened)


def checked(program: MiniProgram, *, secret: str, platform_key: str | None) -> dict[str, str]:
    """The members to seal. Raises Invalid; the message holds nothing of a secret."""
    if (program.platform == Platform.ALIPAY) != (platform_key is not None):
        raise Invalid("invalid_key", "Alipay's public key goes with a mini-program of Alipay, and with no other")
    if platform_key is None:
        return {"secret": wechat.checked(secret)}
    private, public = alipay.checked(secret, platform_key)
    return {"secret": private, "platform_key": public}


def keep(*, vault: Vault, program: MiniProgram, secret: str, platform_key: str | None, by: str) -> bool:
    """Set them, in place of what was set; answers whether something was. Raises Invalid."""
    members = json.dumps(checked(program, secret=secret, platform_key=platform_key)).encode()
    with tenant(program.pk):
        writing.hold(vault.keyring)
        sealed = seal_own(vault.keyring, members, cell(program.pk), vault.suite(program.pk))
        _, created = PlatformCredential.objects.update_or_create(program_id=program.pk, defaults={"sealed": sealed})
        _audit(program.pk, "platform.credentials_set", by)
    return not created


def remove(*, program_id: int, by: str) -> bool:
    """Answers whether there were any."""
    with tenant(program_id):
        removed, _ = PlatformCredential.objects.filter(program_id=program_id).delete()
        if removed:
            _audit(program_id, "platform.credentials_removed", by)
    return bool(removed)


def is_set(program_id: int) -> bool:
    with tenant(program_id):
        return PlatformCredential.objects.filter(program_id=program_id).exists()


def _audit(program_id: int, action: str, by: str) -> None:
    audit(program_id=program_id, actor=by, action=action, target=f"program:{program_id}")


def cell(program_id: int) -> Cell:
    return Cell(program_id, "platform_credential", "sealed", str(program_id), NOBODY)
