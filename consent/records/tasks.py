"""The worker's job on consents."""

import logging
from datetime import timedelta

from celery import shared_task

from consent.programs.models import MiniProgram
from consent.programs.tenancy import without_tenant
from consent.records import intents

ABANDONED_AFTER = timedelta(seconds=60)

logger = logging.getLogger("zhiqing.records")


@shared_task(name="consent.records.tasks.sweep_intents", ignore_result=True)
def sweep_intents() -> None:
    """Delete what withdrawals that died half-way have left, so that ingest need not answer `retry` for ever."""
    try:
        with without_tenant():
            programs = list(MiniProgram.objects.values_list("id", flat=True))
        for program_id in programs:
            swept = intents.sweep_intents(program_id, older_than=ABANDONED_AFTER)
            if swept:
                logger.info("withdrawal intents swept", extra={"fields": {"program": program_id, "intents": swept}})
    except Exception:
        # An error ends here: Celery would log its message, which may quote a row.
        logger.exception("sweep of withdrawal intents stopped")
