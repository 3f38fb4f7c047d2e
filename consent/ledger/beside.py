"""Leaves that several processes open at once, each within the snapshot of the one that asks."""

import os
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from functools import partial
from multiprocessing import get_context

from consent.ledger import openings
from consent.ledger.findings import Findings
from consent.ledger.openings import Opened, Part
from consent.ledger.process import begin
from consent.ledger.verify import Log
from consent.programs.tenancy import exported, snapshot_of_all, tenant

AT_LEAST = 50_000
"""Leaves of a mini-program and type for which another process is asked: to start one takes as long as to open them."""
PROCESSES = min(4, os.cpu_count() or 1)
"""Unless asked otherwise. Each has a connection, and reads a whole mini-program's records for its leaves."""

Theirs = Callable[[], tuple[Opened, Findings]]
"""Raises BrokenProcessPool where the process was ended, or did not start."""


class Openers:
    """Processes, started as they are needed."""

    def __init__(self, pool: ProcessPoolExecutor, processes: int, snapshot: str, logs: Mapping[int, Log]) -> None:
        self._pool, self._processes, self._snapshot, self._logs = pool, processes, snapshot, logs

    def open(self, program_id: int | None) -> list[Theirs]:
        """Begins with what other processes do; the rest is done here when it is called for. Under the tenant."""
        parts = openings.parts(program_id, most=self._processes, at_least=AT_LEAST)
        return [self._beside(part) or partial(openings.opened, part, self._logs) for part in parts]

    def _beside(self, part: Part) -> Theirs | None:
        if part.program_id is None or part.leaves < AT_LEAST or self._processes == 1:
            return None
        return self._pool.submit(_opened, part.program_id, part, self._snapshot, self._logs).result


@contextmanager
def openers(processes: int, logs: Mapping[int, Log]) -> Iterator[Openers]:
    """Within a snapshot."""
    # A fork would share the connection to the database.
    with ProcessPoolExecutor(processes, get_context("spawn"), initializer=begin) as pool:
        try:
            yield Openers(pool, processes, exported(), logs)
        except BaseException:
            pool.shutdown(cancel_futures=True)
            raise


def _opened(program_id: int, part: Part, snapshot: str, logs: Mapping[int, Log]) -> tuple[Opened, Findings]:
    with snapshot_of_all(lasting=True, of=snapshot), tenant(program_id):
        return openings.opened(part, logs)
