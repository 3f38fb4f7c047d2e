"""The worker's jobs on consents."""

import logging
from datetime import timedelta
from zoneinfo import ZoneInfo

from celery import shared_task

from consent import edge
from consent.programs.models import MiniProgram
from consent.programs.tenancy import tenant, without_tenant
from consent.records import coming_of_age, decided_days, intents

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


# The first run after years without one may have many to do; what it has done stays done.
@shared_task(name="consent.records.tasks.come_of_age", ignore_result=True, time_limit=3600)
def come_of_age() -> None:
    """End the guardians' consents of all who have turned 14. Each hour: the day begins at another time in every zone."""
    try:
        with without_tenant():
            programs = list(MiniProgram.objects.order_by("id").values_list("id", flat=True))
    except Exception:
        logger.exception("turning 14 stopped")
        return
    for program_id in programs:
        try:
            turned = coming_of_age.end_guardianships(program_id)
            with tenant(program_id):
                late = coming_of_age.overdue(program_id, now=edge.now())
        except Exception:
            logger.exception("turning 14 stopped", extra={"fields": {"program": program_id}})
            continue
        if late:
            logger.warning("turning 14 is overdue", extra={"fields": {"program": program_id, "subjects": late}})
        if turned:
            logger.info("subjects turned 14", extra={"fields": {"program": program_id, "subjects": turned}})


# The first run of a busy mini-program has thirty days to count.
@shared_task(name="consent.records.tasks.count_days", ignore_result=True, time_limit=3600)
def count_days() -> None:
    """Count what was decided on the last finished days. Each hour: the day ends at another time in every zone."""
    try:
        with without_tenant():
            programs = list(MiniProgram.objects.order_by("id"))
    except Exception:
        logger.exception("counting decisions stopped")
        return
    for program in programs:
        try:
            days = decided_days.count_days(
                program_id=program.pk, zone=ZoneInfo(program.zone), k=edge.k_of(program), now=edge.now()
            )
        except Exception:
            # An error ends here: Celery would log its message, which may quote a row.
            logger.exception("counting decisions stopped", extra={"fields": {"program": program.pk}})
            continue
        if days:
            logger.info("decisions counted", extra={"fields": {"program": program.pk, "days": days}})
