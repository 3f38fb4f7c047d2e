"""A running process takes up another keyring by itself, and says which versions it holds, for as long as it lives."""

import logging
import time
import uuid
from threading import Thread

from django.db import Error, connection

from consent import edge
from consent.vault import processes, suites
from consent.vault.store import KeyringError

log = logging.getLogger(__name__)


def start(kind: str) -> None:
    """In a thread of its own, so that a process that waits, or works on one thing for long, says it too. `kind`: web, worker."""
    if not suites.sm_passes():
        log.error("suite sm fails its test: what is sealed with it is not served")
    Thread(target=_keep, args=(uuid.uuid4(), kind), name="keyring", daemon=True).start()


def _keep(process: uuid.UUID, kind: str) -> None:
    while True:
        say(process, kind)
        time.sleep(processes.RENEWED.total_seconds())


def say(process: uuid.UUID, kind: str) -> None:
    """Once. What goes wrong is told, and tried again: calls meet it themselves."""
    try:
        processes.report(process, kind, edge.vault().keyring)
    except (KeyringError, Error) as error:
        log.warning("keyring not reported", extra={"fields": {"fault": type(error).__name__}})
    finally:
        connection.close()
