"""The sequencer's run, every few seconds. PostgreSQL holds all that there is to do; a run that fails is the next one's."""

import logging

from celery import shared_task

from consent import edge
from consent.ledger import log, sequencer, sinks
from consent.records.queries import db_now

logger = logging.getLogger("zhiqing.ledger")


@shared_task(name="consent.ledger.tasks.sequence", ignore_result=True)
def sequence() -> None:
    """Give leaves their places, sign a checkpoint, and publish it."""
    try:
        run()
    except sequencer.Behind as error:
        logger.error("the log does not go on: %s; see manage.py ledger", error)
    except sinks.Unreachable as error:
        logger.error("the log waits: what was published of it cannot be read (%s)", error)
    except Exception:
        logger.exception("sequencing stopped")


def run() -> None:
    """Raises Behind, Unreachable."""
    places = edge.ledger_sinks()
    if refusing():
        raise sequencer.Behind("a place where it is published holds more of it, or another")
    signing, published = edge.vault().keyring.signing, sinks.heads(places)
    # The clock that dates records: by a worker's own, where it is ahead, they would be later than a checkpoint that has them not.
    now = db_now()
    done = sequencer.sequence(name=edge.ledger_origin(), signing=signing, published=published, now=now)
    if done is not None and done.taken:
        logger.info("leaves have their places", extra={"fields": {"taken": done.taken, "size": done.size}})
    if done is not None and done.size and signing.of(now) is None:
        logger.warning("no signing key is enabled: the log has no checkpoint; run manage.py rotate_signing_key")
    for name, told in sinks.publish(places, now=now).items():
        logger.warning("a checkpoint was not published", extra={"fields": {"sink": name, "told": told}})


def refusing() -> bool:
    """Whether a place that cannot be read said so."""
    origin = log.current()
    return origin is not None and sinks.refused(origin.number)


def in_order() -> bool:
    """Whether the log may go on, as `sinks.in_order` tells it."""
    return sinks.in_order(edge.ledger_sinks())
