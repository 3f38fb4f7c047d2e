"""How a worker carries out a run: one thread asks, and another looks every second whether the run is still this worker's.

The second one renews the lease and tells how far it is, on a connection of its own, since the first is within the snapshot that
all figures come of. Where the run was cancelled, or has taken too long, it has PostgreSQL cancel the first one's statement; the
first stops at its next part otherwise.
"""

import logging
import threading
from collections.abc import Callable
from time import monotonic
from types import TracebackType
from typing import Self

from django.db import connection, connections

from consent.errors import Problem, Unavailable
from reports import runs
from reports.metrics.registry import Reached
from reports.models import Counting
from reports.runs import Claimed

EVERY_S = 1.0
LONGEST_S = 1800.0

logger = logging.getLogger("zhiqing.reports")


class Stopped(Exception):
    """The run is this worker's no longer, or has taken too long: leave everything as it is."""


class Watch:
    """Of a run while it is carried out. `parts`: how many there are, once that is known. `lost`, `late`: why it was stopped."""

    def __init__(self, run: Claimed) -> None:
        self._run, self._asking = run, connections[connection.alias]
        self._over, self._until = threading.Event(), monotonic() + LONGEST_S
        self._counting, self._done, self.parts = "", 0, 0
        self._begun = False
        self.lost = self.late = False
        self._thread = threading.Thread(target=self._look, name="report run", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._over.set()
        self._thread.join()
        if self.lost or self.late:
            # What is cancelled late would hit the next statement of whoever has the connection then.
            connection.close()

    def expect(self, parts: int) -> None:
        """How many parts there are."""
        self.parts = parts

    def reached(self, counting: Counting) -> None:
        """The next part begins, and the one before is done. Raises Stopped."""
        if self.lost or self.late:
            raise Stopped
        self._done += self._begun
        self._counting, self._begun = counting, True

    def _look(self) -> None:
        try:
            while not self._over.wait(EVERY_S):
                self.lost = self.lost or not self._renewed()
                self.late = self.late or monotonic() > self._until
                if self.lost or self.late:
                    self._cancel()
        finally:
            connection.close()

    def _renewed(self) -> bool:
        try:
            return runs.renew(self._run, counting=self._counting, done=self._done, parts=self.parts or None)
        except Exception:
            # The database is away, and then the statement that asks fails too; or the lease lapses, and the token tells.
            logger.warning("lease not renewed", extra={"fields": self._run.fields()})
            connection.close()
            return True

    def _cancel(self) -> None:
        asking = self._asking.connection
        if asking is not None and not asking.closed:
            try:
                asking.cancel_safe(timeout=5)
            except Exception:
                logger.warning("statement not cancelled", extra={"fields": self._run.fields()})


def carry_out(run: Claimed, make: Callable[[Claimed, Callable[[int], None], Reached], str]) -> None:
    """`make(run, expect, reached)` makes the answer, telling how many parts there are and what it is at."""
    watch = Watch(run)
    try:
        with watch:
            answer = make(run, watch.expect, watch.reached)
    except Exception as error:
        if watch.late:
            runs.failed(run, _too_long())
        elif watch.lost:
            logger.info("report run stopped", extra={"fields": run.fields()})
        else:
            runs.failed(run, error)
        return
    kept = runs.finish(run, answer, parts=watch.parts)
    logger.info("report run done" if kept else "report run dropped", extra={"fields": run.fields()})


def _too_long() -> Problem:
    return Unavailable("too_long", f"this takes longer than {LONGEST_S / 60:.0f} minutes; ask for fewer days")
