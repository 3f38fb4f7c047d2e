"""Celery's door to the rollups, to the figures that stand, and to what is asked of workers."""

import logging
import random
import uuid
from collections import Counter, deque
from collections.abc import Iterator
from contextlib import suppress
from datetime import UTC, datetime, time, timedelta
from functools import partial
from time import monotonic
from zoneinfo import ZoneInfo

from celery import shared_task
from kombu.exceptions import OperationalError

from consent import edge
from consent.programs.idempotency import KEPT
from consent.programs.models import MiniProgram
from consent.programs.tenancy import tenant, without_tenant
from reports import frozen, running, runs, saved
from reports.api import background
from reports.rollups.build import first_kept
from reports.rollups.turns import Taken, build_in_turn, due

BUILDING_SECONDS = 50.0

DAY_SECONDS = 300
"""For one statement of a day's building. With the above it is less than what Celery kills a task after."""

FROZEN_KEPT = timedelta(days=400)
"""And as long as events may be kept. Then nothing is left that a figure could be worked out from, and be told anew."""

FORGOTTEN_AT_ONCE = 10_000

HINT_EXPIRES = 15
RUN_SECONDS = 3600
"""By then a run that hangs is ended with its process; long before, it is stopped by itself."""

logger = logging.getLogger("zhiqing.reports")


@shared_task(name="reports.tasks.build_rollups", ignore_result=True)
def build_rollups() -> None:
    """Build the closed days that have no rollup or one that is out of date, a day of each mini-program in turn, until the time
    is over. What is left is found the next time. One worker does it: a second leaves it to the first.
    """
    until, now = monotonic() + BUILDING_SECONDS, edge.now()
    with without_tenant():
        programs = list(MiniProgram.objects.values_list("id", "zone"))
    # Where there is no time for a day of each, it is not always the same ones who wait.
    random.shuffle(programs)
    waiting = deque((program_id, _days(program_id, name, now)) for program_id, name in programs)
    done: Counter[int] = Counter()
    with suppress(Taken):
        while waiting and monotonic() < until:
            program_id, days = waiting.popleft()
            if (built := next(days, None)) is not None:
                done[program_id] += built
                waiting.append((program_id, days))
    for program_id, number in sorted(done.items()):
        if number:
            logger.info("rollups built", extra={"fields": {"program": program_id, "days": number}})


@shared_task(name="reports.tasks.forget_frozen", ignore_result=True)
def forget_frozen() -> None:
    """Delete the figures of periods of which no event is left, in every mini-program."""
    now = edge.now()
    with without_tenant():
        programs = list(MiniProgram.objects.order_by("id").values_list("id", flat=True))
    for program_id in programs:
        try:
            forgotten = _forget(program_id, now)
        except Exception:
            # As with the rollups: one mini-program's failure holds up no other.
            logger.exception("frozen figures not forgotten", extra={"fields": {"program": program_id}})
        else:
            if forgotten:
                fields = {"program": program_id, "count": forgotten}
                logger.info("frozen figures forgotten", extra={"fields": fields})


def _forget(program_id: int, now: datetime) -> int:
    done = 0
    with tenant(program_id):
        kept_from = datetime.combine(first_kept(program_id, now.date()), time.min, tzinfo=UTC)
    while True:
        with tenant(program_id):
            some = frozen.forget(program_id, before=min(kept_from, now - FROZEN_KEPT), limit=FORGOTTEN_AT_ONCE)
        done += some
        if some < FORGOTTEN_AT_ONCE:
            return done


def _days(program_id: int, name: str, now: datetime) -> Iterator[int]:
    """Builds a day at each step; answers how many that were, 0 or 1. `name`: the zone's.

    After an error the others wait for the next time: then that day is behind them. Raises Taken.
    """
    fields: dict[str, object] = {"program": program_id}
    try:
        zone = ZoneInfo(name)
        for day in due(program_id, zone, now):
            fields["day"] = day.isoformat()
            yield build_in_turn(program_id, zone, day, now=now, seconds=DAY_SECONDS)
    except Taken:
        raise
    except Exception:
        # Celery would log its message, which may quote a row; the other mini-programs' days are built all the same.
        logger.exception("rollup not built", extra={"fields": fields})


@shared_task(name="reports.tasks.forget_asked", ignore_result=True)
def forget_asked() -> None:
    """Delete the runs that have expired, and forget with which Idempotency-Keys reports were saved more than 24 hours ago, in
    every mini-program."""
    now = edge.now()
    with without_tenant():
        programs = list(MiniProgram.objects.order_by("id").values_list("id", flat=True))
    for program_id in programs:
        try:
            with tenant(program_id):
                saved.forget_keys(program_id, before=now - KEPT)
                runs.forget(program_id, now=now)
        except Exception:
            logger.exception("expired runs not forgotten", extra={"fields": {"program": program_id}})


def hint(run_id: uuid.UUID) -> None:
    """Tell the workers of a run; where the broker is away, the next sweep finds it."""
    try:
        carry_out.apply_async((str(run_id),), expires=HINT_EXPIRES, retry=False)
    except (OperationalError, OSError):
        logger.warning("no broker to tell of a run", extra={"fields": {"run": str(run_id)}})


@shared_task(name="reports.tasks.carry_out", ignore_result=True, time_limit=RUN_SECONDS)
def carry_out(run_id: str) -> None:
    """Answer a question, unless another worker is on one: then a sweep hands it out later."""
    try:
        with runs.slot() as free:
            program_id = runs.program_of(uuid.UUID(run_id)) if free else None
            run = runs.claim(program_id, uuid.UUID(run_id)) if program_id is not None else None
            if run is not None:
                running.carry_out(run, partial(background.made, now=edge.now()))
    except Exception:
        logger.exception("report run stopped", extra={"fields": {"run": run_id}})


@shared_task(name="reports.tasks.sweep_runs", ignore_result=True)
def sweep_runs() -> None:
    """Hand out the run that waits longest: not yet begun, or left by a worker that died."""
    try:
        if (run_id := runs.due()) is not None:
            hint(run_id)
    except Exception:
        logger.exception("sweep of runs stopped")
