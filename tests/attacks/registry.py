"""The fixed list of attacks. Each makes its world and asks; what each relies on is said where it is not the group alone."""

from collections.abc import Callable
from datetime import timedelta

from tests.attacks.world import MONDAY, Attack, World

Ask = Callable[[World], float | None]
Change = Callable[[World], None]

ATTACKS: dict[str, Attack] = {}
DAYS = [MONDAY + timedelta(days=n) for n in range(7)]


def attack(run: Attack) -> Attack:
    ATTACKS[run.__name__] = run
    return run


def less(whole: float | None, *parts: float | None) -> float | None:
    """What the parts leave, where all are told."""
    if whole is None or None in parts:
        return None
    return whole - sum(part for part in parts if part is not None)


def times(one: float | None, other: float | None) -> float | None:
    return None if one is None or other is None else float(round(one * other))


def quotient(one: float | None, other: float | None) -> float | None:
    return None if one is None or not other else float(round(one / other))
