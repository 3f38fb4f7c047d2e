"""Leaves that several processes open at once, each within the snapshot of the one that asks."""

from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from functools import partial
from multiprocessing import get_context

import django

from consent.ledger import openings
from consent.ledger.findings import Findings
from consent.ledger.openings import Opened, Part
from consent.ledger.verify import Log
from consent.programs.tenancy import exported, snapshot_of_all, tenant

AT_LEAST = 50_000
"""Leaves for which a process is started: that takes as long as to open them."""

Theirs = Callable[[], tuple[Opened, Findings]]
"""Raises BrokenProcessPool where the process was ended."""


class Openers:
    """Processes, started as they are needed, none for less than `at_least` leaves."""

    def __init__(
        self, pool: ProcessPoolExecutor, processes: int, at_least: int, snapshot: str, logs: Mapping[int, Log]
    ) -> None:
        self._pool, self._snapshot, self._logs = pool, snapshot, logs
        self._most, self._at_least = processes, at_least

    def open(self, program_id: int | None) -> list[Theirs]:
        """Begins with what other processes do; the rest is done here when it is called for. Under the tenant."""
        parts = openings.parts(program_id, most=self._most, at_least=self._at_least)
        return [self._beside(part) or partial(openings.opened, part, self._logs) for part in parts]

    def _beside(self, part: Part) -> Theirs | None:
        if part.program_id is None or part.leaves < self._at_least or self._most == 1:
            return None
        return self._pool.submit(_opened, part.program_id, part, self._snapshot, self._logs).result


@contextmanager
def openers(processes: int, logs: Mapping[int, Log], *, at_least: int) -> Iterator[Openers]:
    """Within a snapshot."""
    # A fork would share the connection to the database.
    with ProcessPoolExecutor(processes, get_context("spawn"), initializer=django.setup) as pool:
        try:
            yield Openers(pool, processes, at_least, exported(), logs)
        except BaseException:
            pool.shutdown(cancel_futures=True)
            raise


def _opened(program_id: int, part: Part, snapshot: str, logs: Mapping[int, Log]) -> tuple[Opened, Findings]:
    with snapshot_of_all(lasting=True, of=snapshot), tenant(program_id):
        return openings.opened(part, logs)
