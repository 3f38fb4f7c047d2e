"""What risk monitoring looks at: each app declares its checks in risk_checks.py, found as admin.py is.

declare(Check("requests.overdue", _("…"), threshold=0, count=lambda looked: …, kind=Kind.STANDING))
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import Enum
from typing import TYPE_CHECKING

from consent.ledger.sinks import Sink
from consent.vault.keyring import Keyring

if TYPE_CHECKING:
    from django.utils.functional import _StrPromise

WINDOW, LONGEST_WINDOW = timedelta(days=1), timedelta(days=7)


@dataclass(frozen=True)
class Looked:
    """At which mini-program, and when. `before`: when it was looked at last; None: never. `sinks`: where checkpoints go."""

    program_id: int
    now: datetime
    before: datetime | None
    keyring: Keyring
    sinks: Sequence[Sink]

    @property
    def since(self) -> datetime:
        """From when on what happened counts: a day, so that many looks hide nothing from a threshold, or all since the look
        before where that is longer ago, LONGEST_WINDOW at most."""
        day = self.now - WINDOW
        return day if self.before is None else max(min(self.before, day), self.now - LONGEST_WINDOW)


class Kind(Enum):
    """STANDING is one finding until it grows; HAPPENING another one in each look."""

    STANDING = "standing"
    HAPPENING = "happening"


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
