"""Daily series as the gate has released them, put together by hand."""

import random
from collections.abc import Sequence
from datetime import UTC, date, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from reports.metrics.registry import Question
from reports.privacy.cells import Cell, Status
from reports.privacy.dimensions import ReleasedRow
from reports.privacy.threshold import Released
from tests.reports.events import ACCEPTED

DAY = timedelta(days=1)
NEVER = datetime(2099, 1, 1, tzinfo=UTC)
WEEK = (1, 1, 1, 1, 1.05, 1.5, 1.4)
"""Monday to Sunday."""


def released(first: date, values: Sequence[int | None], *, not_closed: int = 0) -> Released:
    """A row a day; None is suppressed. The last `not_closed` days are not closed."""
    rows = [
        ReleasedRow(
            {"date": (first + n * DAY).isoformat()},
            {"value": Cell(value, Status.SUPPRESSED if value is None else Status.OK)},
            n < len(values) - not_closed,
        )
        for n, value in enumerate(values)
    ]
    return Released.derived(10, {"data": rows}, {})


def question(first: date, last: date, options: Any, as_of: datetime = NEVER) -> Question:
    return Question(1, ZoneInfo("Asia/Shanghai"), first, last, as_of, options=options, accepted=ACCEPTED)


def weekly(first: date, days: int, level: float = 400, growth: float = 0, *, seed: int = 1) -> list[int]:
    """Counts about a weekly season and a trend (of the level, a day), as widely spread as counts of independent people."""
    drawn = random.Random(seed)
    means = [level * (1 + growth * n) * WEEK[(first + n * DAY).weekday()] for n in range(days)]
    return [max(0, round(drawn.gauss(mean, mean**0.5))) for mean in means]
