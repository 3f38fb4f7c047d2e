"""What risk monitoring looks at: each app declares its checks in risk_checks.py, found as admin.py is.

declare(Check("requests.overdue", _("…"), threshold=0, count=lambda looked: …, kind=Kind.STANDS))
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import Enum
from typing import TYPE_CHECKING

from consent.vault.keyring import Keyring

if TYPE_CHECKING:
    from django.utils.functional import _StrPromise

WINDOW = timedelta(days=1)
"""What happens is looked at for so long; what stands, as it stands."""


@dataclass(frozen=True)
class Looked:
    """At which mini-program, and when."""

    program_id: int
    now: datetime
    keyring: Keyring

    @property
    def since(self) -> datetime:
        return self.now - WINDOW


class Kind(Enum):
    """What stands is one finding until it grows; what happens is another one in each look."""

    STANDS = "stands"
    HAPPENS = "happens"


@dataclass(frozen=True)
class Check:
    """`count`, within the mini-program's tenant: a whole number and nothing else; beyond `threshold` somebody has to look."""

    code: str
    title: "_StrPromise"
    threshold: int
    count: Callable[[Looked], int]
    kind: Kind


_declared: dict[str, Check] = {}


def declare(*checks: Check) -> None:
    for check in checks:
        if check.code in _declared:
            raise ValueError(f"{check.code} is declared twice")
        _declared[check.code] = check


def checks() -> Mapping[str, Check]:
    """By code, in the order in which they were declared."""
    return _declared


def title(code: str) -> str:
    """In words; the code itself of a check that is no more."""
    check = _declared.get(code)
    return str(check.title) if check is not None else code
