"""Celery's door to the events."""

import logging

from celery import shared_task

from consent import edge
from tracking.partitions import days_around, ensure_days

logger = logging.getLogger("zhiqing.tracking")


@shared_task(name="tracking.tasks.make_partitions")
def make_partitions() -> None:
    """Partitions for the days ahead, so that no batch waits for one."""
    made = ensure_days(days_around(edge.now()))
    if made:
        logger.info("partitions made", extra={"fields": {"count": made}})
