"""The worker's jobs on webhooks. A hint carries a mini-program's and an endpoint's id; PostgreSQL says what there is to send."""

import logging
import time
import uuid

from celery import shared_task
from django.conf import settings
from kombu.exceptions import OperationalError

from consent import edge, hints
from consent.webhooks import delivery

HINT_EXPIRES = 15
DELIVERING_SECONDS = 20.0
AT_ONCE = 100
SILENT_FOR = 15.0
"""A broker that was away is not asked again for so long: each act would wait for it. The sweep finds what is due."""

logger = logging.getLogger("zhiqing.webhooks")
_silent_until = 0.0


def hint(program_id: int, endpoint_id: uuid.UUID) -> bool:
    """Tell the workers that something is due; False where the broker is away."""
    global _silent_until
    if time.monotonic() < _silent_until:
        return False
    try:
        deliver.apply_async((program_id, str(endpoint_id)), expires=HINT_EXPIRES, retry=False)
    except (OperationalError, OSError):
        _silent_until = time.monotonic() + SILENT_FOR
        logger.warning("no broker to tell of a webhook", extra={"fields": {"webhook": str(endpoint_id)}})
        return False
    return True


@shared_task(name="consent.webhooks.tasks.deliver", ignore_result=True)
def deliver(program_id: int, endpoint_id: str) -> None:
    """Send what is due to an endpoint. An error ends here: Celery would log its message, which may quote a row."""
    try:
        delivery.deliver(
            vault=edge.vault(),
            program_id=program_id,
            endpoint_id=uuid.UUID(endpoint_id),
            private=settings.ZHIQING_WEBHOOK_PRIVATE,
            seconds=DELIVERING_SECONDS,
        )
    except Exception:
        logger.exception("webhook delivery stopped", extra={"fields": {"webhook": endpoint_id}})


@shared_task(name="consent.webhooks.tasks.sweep", ignore_result=True)
def sweep() -> None:
    """Hand out again what is due: to be tried again, left by a worker that died, or without a hint since Redis lost it."""
    try:
        if not hints.waiting(deliver):
            for program_id, endpoint_id in delivery.due(limit=AT_ONCE):
                if not hint(program_id, endpoint_id):
                    break
    except Exception:
        logger.exception("webhook sweep stopped")
