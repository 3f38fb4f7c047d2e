"""The worker's job on the journal."""

import logging
from pathlib import Path

from celery import shared_task
from django.conf import settings
from django.db import transaction

from consent import edge
from consent.journal import files, given_out, writers, writing

logger = logging.getLogger("zhiqing.journal")


@shared_task(name="consent.journal.tasks.keep", ignore_result=True)
def keep() -> None:
    """Tell the journal how far the database is, and drop the days that no backup reaches back to, who wrote before, and all numbers but
    the highest."""
    try:
        with transaction.atomic():
            writers.forget(settings.ZHIQING_BACKUP_DAYS)
            given_out.forget()
        writing.mark()
        if dropped := drop():
            logger.info("days of the journal dropped", extra={"fields": {"files": dropped}})
    except Exception:
        logger.exception("keeping of the journal stopped")


def over() -> list[Path]:
    """The journal's files that may go, on this machine."""
    folder: Path | None = settings.ZHIQING_JOURNAL_DIR
    return [] if folder is None else files.over(folder, kept=settings.ZHIQING_BACKUP_DAYS, today=edge.now().date())


def drop() -> int:
    """Drop them; answers how many. Raises OSError."""
    folder: Path | None = settings.ZHIQING_JOURNAL_DIR
    return 0 if folder is None else files.drop(folder, kept=settings.ZHIQING_BACKUP_DAYS, today=edge.now().date())
