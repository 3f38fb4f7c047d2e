"""All statements of a block within so many seconds together: a web process that takes longer is ended in the midst of its call."""

import logging
import threading
from collections.abc import Iterator
from contextlib import contextmanager

from django.db import connection, connections
from django.db.backends.base.base import BaseDatabaseWrapper

logger = logging.getLogger("zhiqing.reports")

ANSWER_S = 25.0
"""Of a call or a page: as long as one of its statements may take by itself, and less than a web process has."""
AGAIN_S = 1.0
"""A statement that begins later is cancelled too."""


@contextmanager
def deadline(seconds: float) -> Iterator[None]:
    """What is asked then is cancelled, and raises what a statement does that takes too long by itself: OperationalError."""
    asking = connections[connection.alias]
    over, late = threading.Event(), threading.Event()
    watch = threading.Thread(target=_cancel, args=(asking, over, late, seconds), name="report", daemon=True)
    watch.start()
    try:
        yield
    finally:
        over.set()
        watch.join()
        if late.is_set():
            # What is cancelled late would hit the next statement of whoever has the connection then.
            asking.close()


def _cancel(asking: BaseDatabaseWrapper, over: threading.Event, late: threading.Event, seconds: float) -> None:
    wait = seconds
    while not over.wait(wait):
        late.set()
        wait = AGAIN_S
        session = asking.connection
        if session is not None and not session.closed:
            try:
                session.cancel_safe(timeout=5)
            except Exception:
                # The database is away, and then the statement fails too.
                logger.warning("statement not cancelled")
