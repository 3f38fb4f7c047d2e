"""How a process begins that opens leaves for another: models are known only afterwards, so none is imported here."""

import os
import signal
import threading
from multiprocessing import connection, parent_process

import django

ENDED = 1


def begin() -> None:
    """Ends with the one that started it, however that ends, and at Ctrl-C without a word."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    threading.Thread(target=_end_with_parent, daemon=True).start()
    django.setup()


def _end_with_parent() -> None:
    parent = parent_process()
    if parent is not None:
        connection.wait([parent.sentinel])
        os._exit(ENDED)
