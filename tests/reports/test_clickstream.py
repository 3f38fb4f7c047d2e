"""The reports of a real clickstream, put into the table by its owner, equal the slow counts of the same."""

import csv
import gzip
import os
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any, get_args

import pytest

from reports.metrics.calendar import Interval
from reports.metrics.retention import Retention
from reports.metrics.trends import Trends
from tests.reports import (
    oracle_distributions,
    oracle_pages,
    oracle_retention,
    oracle_sessions,
    test_distributions,
    test_pages,
    test_trends_oracle,
)
from tests.reports.events import History, Seen
from tests.reports.test_retention import shown
from tests.reports.test_visits import reported

FILE = os.environ.get("ZHIQING_CLICKSTREAM", "")

SHIFT = timedelta(weeks=613)
"""The file's events are older than the event table takes."""

pytestmark = pytest.mark.skipif(not FILE, reason="ZHIQING_CLICKSTREAM names no clickstream file")

ASKED = [
    Retention(periods=5),
    Retention(cohort="recurring", periods=5),
    Retention(mode="on_or_after", clock="rolling_24h", periods=5),
]

TRENDS = [Trends(event="page_view", compare=True), Trends(field="page")]


def clickstream() -> list[Seen]:
    with gzip.open(FILE, "rt", encoding="utf-8", newline="") as file:
        return [
            Seen(
                row["subject"],
                datetime.fromisoformat(row["occurred_at"].replace("Z", "+00:00")) + SHIFT,
                name="page_view",
                page=row["page"],
                event_id=f"e{n:06}",
            )
            for n, row in enumerate(csv.DictReader(file))
        ]


@pytest.mark.parametrize("zone", ["Asia/Shanghai", "America/New_York"])
def test_a_clickstream(history: Callable[..., History], zone: str) -> None:
    there, seen = history(zone), clickstream()
    there.add_all(seen)
    days = sorted(one.at.astimezone(seen[0].at.tzinfo).date() for one in seen)
    first, last = days[0], days[-1]
    test_pages.compare(test_pages.reported(there, first, last), oracle_pages.pages(seen, zone, first, last))
    spread = test_distributions.reported(there, first, last)
    assert spread == oracle_distributions.distributions(seen, zone, first, last)
    by: Any
    for by in get_args(Interval):
        assert reported(there, first, last, by) == oracle_sessions.sessions(seen, zone, first, last, by)
        for trend in TRENDS:
            test_trends_oracle.check(there, seen, first, last, by, trend)
        for asked in ASKED:
            found = shown(there, first.isoformat(), last.isoformat(), asked, interval=by)
            assert found == oracle_retention.retention(seen, zone, first, last, by, asked)
