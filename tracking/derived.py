"""What others keep that they derived from events, and change in the transaction that deletes the events.

tracking never imports an app above it; the one that derives something registers it here (reports.personal_data).
"""

from abc import ABC, abstractmethod
from collections.abc import Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from datetime import date


class Derived(ABC):
    """Both methods enclose one transaction's deletion, and run under the tenant. `days`: UTC dates as sent."""

    @abstractmethod
    def some_going(self, program_id: int, subject_id: int, days: list[date]) -> AbstractContextManager[None]:
        """Some events of a subject go: put what is left of them in the place of what there was."""

    @abstractmethod
    def day_going(self, program_id: int, day: date) -> AbstractContextManager[list[int]]:
        """Events of many subjects go: the block appends how many did."""


_registered: list[Derived] = []


def register(derived: Derived) -> None:
    _registered.append(derived)


@contextmanager
def some_going(program_id: int, subject_id: int, days: list[date]) -> Iterator[None]:
    with ExitStack() as stack:
        for derived in _registered:
            stack.enter_context(derived.some_going(program_id, subject_id, days))
        yield


@contextmanager
def day_going(program_id: int, day: date) -> Iterator[list[int]]:
    gone: list[int] = []
    with ExitStack() as stack:
        told = [stack.enter_context(derived.day_going(program_id, day)) for derived in _registered]
        yield gone
        for each in told:
            each.extend(gone)
