"""All attacks, in one list: whoever adds a file names it here."""

from tests.attacks import asked_again, one_answer, one_moment, one_type, ranges
from tests.attacks.registry import ATTACKS

__all__ = ["ATTACKS", "asked_again", "one_answer", "one_moment", "one_type", "ranges"]
