"""The worker's jobs on requests. A message is a hint with a request's id; PostgreSQL says what there is to do."""

import logging
import time
import uuid
from datetime import timedelta

from celery import shared_task
from django.conf import settings
from kombu.exceptions import OperationalError

from consent import edge, hints
from consent.processing import terms
from consent.programs.idempotency import forget_old
from consent.programs.models import MiniProgram
from consent.programs.tenancy import tenant, without_tenant
from consent.rights import (
    actions,
    collected,
    erasure_rate,
    fulfilment,
    legal_holds,
    packages,
    reminders,
    requesters,
    retention,
)
from consent.rights.holders import Keeping
from consent.rights.models import Package

HINTS_A_SWEEP = 200
HINT_EXPIRES = 15
HOUSEKEEPING_EVERY = 60.0
ERASING_SECONDS = 5.0
"""How long a worker that erases what was collected is away from requests."""
SETTLED_AFTER = timedelta(minutes=10)
"""No batch takes this long: what it stored can be seen then."""

logger = logging.getLogger("zhiqing.rights")
_housekept_at = -HOUSEKEEPING_EVERY


def hint(request_id: uuid.UUID) -> bool:
    """Tell the workers of a request that is due; False where the broker is away, and the next sweep finds it."""
    try:
        fulfil.apply_async((str(request_id),), expires=HINT_EXPIRES, retry=False)
    except (OperationalError, OSError):
        logger.warning("no broker to tell of a request", extra={"fields": {"request": str(request_id)}})
        return False
    return True


# Five million events of one subject take longer than Celery's limit for other tasks.
@shared_task(name="consent.rights.tasks.fulfil", ignore_result=True, time_limit=3600)
def fulfil(request_id: str) -> None:
    """Do what is due of a request. An error ends here: Celery would log its message, which may quote a row."""
    try:
        program_id = fulfilment.program_of(uuid.UUID(request_id))
        if program_id is not None:
            fulfilment.fulfil(
                vault=edge.vault(),
                program_id=program_id,
                request_id=uuid.UUID(request_id),
                package_kept=settings.ZHIQING_PACKAGE_KEPT,
            )
    except Exception:
        logger.exception("fulfilment stopped", extra={"fields": {"request": request_id}})


@shared_task(name="consent.rights.tasks.sweep", ignore_result=True)
def sweep() -> None:
    """Hand out again what is due: not yet begun, left by a worker that died, or without a hint since Redis lost it."""
    global _housekept_at
    try:
        if not hints.waiting(fulfil):
            for request_id, _ in fulfilment.due(limit=HINTS_A_SWEEP):
                if not hint(request_id):
                    break
        if time.monotonic() - _housekept_at >= HOUSEKEEPING_EVERY:
            _housekept_at = time.monotonic()
            housekeep()
    except Exception:
        logger.exception("sweep stopped")


def housekeep() -> None:
    """Erase expired packages, and forget Idempotency-Keys of more than 24 hours ago, in every mini-program."""
    now = edge.now()
    with without_tenant():
        expired = list(Package.objects.filter(expires_at__lte=now).values_list("id", "program_id"))
        programs = list(MiniProgram.objects.values_list("id", flat=True))
    for package_id, program_id in expired:
        if parts := packages.erase_expired(program_id, package_id, now=now):
            logger.info("expired package erased", extra={"fields": {"package": str(package_id), "parts": parts}})
    for program_id in programs:
        with tenant(program_id):
            forget_old(program_id, now=now)
            actions.forget_calls(program_id)
            erasure_rate.forget(program_id, before=now)


@shared_task(name="consent.rights.tasks.erase_collected", ignore_result=True)
def erase_collected() -> None:
    """Erase what was collected under consents that ended. What this leaves the next one does, seconds later."""
    try:
        collected.erase_due(seconds=ERASING_SECONDS)
    except Exception:
        logger.exception("erasing of collected data stopped")


def patience() -> reminders.Patience:
    return reminders.Patience(settings.ZHIQING_REMIND_WORKING_DAYS, settings.ZHIQING_REFUSAL_DELIVERY)


@shared_task(name="consent.rights.tasks.remind", ignore_result=True)
def remind() -> None:
    """Say what is due soon, overdue, or refused and not told, and which terms end; end what guardians asked for who is 14 now."""
    try:
        with without_tenant():
            programs = list(MiniProgram.objects.order_by("id").values_list("id", flat=True))
    except Exception:
        logger.exception("reminders stopped")
        return
    for program_id in programs:
        try:
            for request_id in requesters.end_guardians_requests(edge.vault(), program_id):
                logger.info("a guardian's request ended", extra={"fields": {"request": str(request_id)}})
        except Exception:
            logger.exception("ending of guardians' requests stopped", extra={"fields": {"program": program_id}})
        try:
            for reminder in reminders.remind(program_id, now=edge.now(), patience=patience()):
                fields = {"request": str(reminder.request_id), "stage": reminder.stage.value}
                logger.warning("a request needs an officer", extra={"fields": fields})
        except Exception:
            logger.exception("reminders stopped", extra={"fields": {"program": program_id}})
        try:
            for ending in terms.remind(program_id):
                told = {"program": program_id, "kind": ending.kind, "id": ending.id, "stage": ending.stage.value}
                logger.warning("a processor's or a mechanism's term needs an officer", extra={"fields": told})
        except Exception:
            logger.exception("reminders of terms stopped", extra={"fields": {"program": program_id}})


@shared_task(name="consent.rights.tasks.end_holds", ignore_result=True)
def end_holds() -> None:
    """Go on with erasures of which some legal hold is over, in every mini-program."""
    try:
        with without_tenant():
            programs = list(MiniProgram.objects.order_by("id").values_list("id", flat=True))
    except Exception:
        logger.exception("ending of legal holds stopped")
        return
    for program_id in programs:
        try:
            for request_id in legal_holds.go_on(program_id, within=settings.ZHIQING_WITHDRAWAL_ERASURE):
                logger.info("a legal hold is over", extra={"fields": {"request": str(request_id)}})
                hint(request_id)
        except Exception:
            logger.exception("ending of legal holds stopped", extra={"fields": {"program": program_id}})


def keeping(*, lag: timedelta) -> Keeping:
    return Keeping(
        now=edge.now(),
        lag=lag,
        within=settings.ZHIQING_WITHDRAWAL_ERASURE,
        accepted=max(settings.ZHIQING_LATE, settings.ZHIQING_HISTORICAL),
    )


# The first purge of old data takes longer than Celery's limit for other tasks; what it has done stays done.
@shared_task(name="consent.rights.tasks.purge", ignore_result=True, time_limit=3600)
def purge() -> None:
    """Delete what is over since the last time, in every mini-program, and say what should have gone already."""
    kept = keeping(lag=SETTLED_AFTER)
    try:
        with without_tenant():
            programs = list(MiniProgram.objects.order_by("id").values_list("id", flat=True))
        late = collected.overdue(now=kept.now, within=kept.within)
    except Exception:
        logger.exception("purge stopped")
        return
    if late:
        logger.warning("erasures of collected data are overdue", extra={"fields": {"count": late}})
    for program_id in programs:
        try:
            retention.purge(program_id=program_id, keeping=kept, full=False)
        except retention.Busy:
            continue
        except Exception:
            logger.exception("purge stopped", extra={"fields": {"program": program_id}})
