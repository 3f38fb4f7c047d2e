"""The worker's job on risk monitoring."""

import logging

from celery import shared_task

from consent import edge
from consent.monitoring import runs
from consent.programs.models import MiniProgram
from consent.programs.tenancy import without_tenant

logger = logging.getLogger("zhiqing.monitoring")


@shared_task(name="consent.monitoring.tasks.look", ignore_result=True)
def look() -> None:
    """Look at the risks of every mini-program once a day, and say what is above its threshold."""
    try:
        with without_tenant():
            programs = list(MiniProgram.objects.order_by("id").values_list("id", flat=True))
    except Exception:
        logger.exception("risk monitoring stopped")
        return
    for program_id in programs:
        try:
            made = runs.daily(program_id=program_id, keyring=edge.vault().keyring, sinks=edge.ledger_sinks())
        except Exception:
            # An error ends here: Celery would log its message, which may quote a row.
            logger.exception("risk monitoring stopped", extra={"fields": {"program": program_id}})
            continue
        if made is not None:
            above = sorted(code for code, told in made.found.items() if told["above"])
            fields = {"program": program_id, "run": made.pk, "above": above}
            logger.log(logging.WARNING if above else logging.INFO, "risks looked at", extra={"fields": fields})
