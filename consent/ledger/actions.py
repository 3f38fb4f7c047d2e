"""What the codes of audit entries say in words: each app declares its own in `audit_actions.py`, found as admin.py is."""

from collections.abc import Mapping
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from django.utils.functional import _StrPromise

_titles: dict[str, "_StrPromise"] = {}
_of_accounts: set[str] = set()


def declare(titles: Mapping[str, "_StrPromise"], *, of_accounts: bool = False) -> None:
    """By the action's code, as `request.filed`. `of_accounts`: the log of accounts has them, and the audit log has the others.

    Raises ValueError where one is declared already.
    """
    if twice := sorted(_titles.keys() & titles.keys()):
        raise ValueError(f"declared twice: {', '.join(twice)}")
    _titles.update(titles)
    if of_accounts:
        _of_accounts.update(titles)


def titles(*, of_accounts: bool = False) -> Mapping[str, "_StrPromise"]:
    """Those of one log, by their codes."""
    return {action: title for action, title in _titles.items() if (action in _of_accounts) == of_accounts}


def title(action: str) -> str:
    """In the reader's language; the code itself where a later version wrote it."""
    return str(_titles.get(action, action))
