"""The one way from what was asked to what is told: REST, CSV, the officers' pages and the worker's runs answer what this answers."""

from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

from django.conf import settings

from reports.api.rendering import rendered
from reports.api.shapes import ReportAsked
from reports.metrics.registry import Question, Reached, answer, unwatched


def answered(
    metric: str,
    asked: ReportAsked,
    *,
    program_id: int,
    zone: str,
    sandbox: bool,
    now: datetime,
    csv: bool,
    reached: Reached = unwatched,
) -> dict[str, Any]:
    """The API's answer as of `now`. `csv`: only the rows of `data` are told. Raises Invalid, NotFound."""
    asks = question(asked, program_id=program_id, zone=zone, sandbox=sandbox, now=now, csv=csv)
    return rendered(answer(metric, asks, k=k_of(sandbox=sandbox), reached=reached), zone=zone, as_of=now)


def question(asked: ReportAsked, *, program_id: int, zone: str, sandbox: bool, now: datetime, csv: bool) -> Question:
    """What is asked, of a mini-program and as of `now`. Raises Invalid for what no figure is needed to refuse."""
    asked.refuse_unavailable(csv=csv)
    if not sandbox:
        asked.refuse_custom()
    interval, accepted = asked.interval or "day", max(settings.ZHIQING_LATE, settings.ZHIQING_HISTORICAL)
    return Question(
        program_id, ZoneInfo(zone), asked.from_, asked.to, now, interval, asked.options(), accepted=accepted
    )


def k_of(*, sandbox: bool) -> int:
    """A sandbox holds synthetic data only: nobody is to be hidden there."""
    return 1 if sandbox else settings.ZHIQING_K
