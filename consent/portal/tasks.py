"""The worker's job on portal sessions."""

import logging

from celery import shared_task

from consent import edge
from consent.portal import sessions
from consent.programs.models import MiniProgram
from consent.programs.tenancy import without_tenant

logger = logging.getLogger("zhiqing.portal")


@shared_task(name="consent.portal.tasks.forget_sessions", ignore_result=True)
def forget_sessions() -> None:
    """Delete links and sessions that are over."""
    try:
        with without_tenant():
            programs = list(MiniProgram.objects.values_list("id", flat=True))
        for program_id in programs:
            while sessions.forget_over(program_id, now=edge.now()) == sessions.FORGOTTEN_AT_ONCE:
                pass
    except Exception:
        # An error ends here: Celery would log its message, which may quote a row.
        logger.exception("forgetting portal sessions stopped")
