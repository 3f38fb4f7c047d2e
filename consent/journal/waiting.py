"""What workers do while a replay is required: nothing. A restored database has erasures due that were taken back since."""

import logging
from typing import Any

from celery import Task

from consent.journal import service
from consent.journal.service import Standing

logger = logging.getLogger("zhiqing.journal")


class InService(Task):  # type: ignore[type-arg]
    """Every task of the service. A message is a hint, so what is passed over is found again by the sweeps."""

    abstract = True

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        if service.as_known() != Standing.IN_SERVICE:
            logger.warning("a task waits for a replay", extra={"fields": {"task": self.name}})
            return None
        return self.run(*args, **kwargs)
