"""Celery's door to the events."""

import logging
from datetime import timedelta

from celery import shared_task

from consent import edge
from consent.programs.models import MiniProgram
from consent.programs.tenancy import without_tenant
from tracking.ingest.counting import forget_counters
from tracking.partitions import days_around, ensure_days

COUNTERS_KEPT = timedelta(days=400)
"""As many days as a report takes at once."""

logger = logging.getLogger("zhiqing.tracking")


@shared_task(name="tracking.tasks.make_partitions")
def make_partitions() -> None:
    """Partitions for the days ahead, so that no batch waits for one."""
    made = ensure_days(days_around(edge.now()))
    if made:
        logger.info("partitions made", extra={"fields": {"count": made}})


@shared_task(name="tracking.tasks.forget_old_counters")
def forget_old_counters() -> None:
    """Delete the ingest counters that are older than they are kept, in every mini-program."""
    before = edge.now() - COUNTERS_KEPT
    with without_tenant():
        programs = list(MiniProgram.objects.values_list("id", flat=True))
    forgotten = sum(forget_counters(program_id, before=before) for program_id in programs)
    if forgotten:
        logger.info("ingest counters forgotten", extra={"fields": {"count": forgotten}})
